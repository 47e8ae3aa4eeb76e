package tokentest

import (
	"slices"
	"strconv"
	"strings"
)

// An Object is a JSON object: names, which are written as they are, and values, which are JSON or meant
// to be. A name may come twice.
type Object [][2]string

// With returns o with the value of a member replaced, or the member added.
func (o Object) With(name, json string) Object {
	o = slices.Clone(o)
	for i := range o {
		if o[i][0] == name {
			o[i][1] = json
			return o
		}
	}
	return append(o, [2]string{name, json})
}

// And returns o with one more member, whether there is one of that name or not.
func (o Object) And(name, json string) Object { return append(slices.Clone(o), [2]string{name, json}) }

// Without returns o without a member.
func (o Object) Without(name string) Object {
	return slices.DeleteFunc(slices.Clone(o), func(m [2]string) bool { return m[0] == name })
}

// String returns the object as JSON.
func (o Object) String() string {
	parts := make([]string, len(o))
	for i, m := range o {
		parts[i] = `"` + m[0] + `":` + m[1]
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// Text returns plain text as a JSON string.
func Text(s string) string { return strconv.Quote(s) }
