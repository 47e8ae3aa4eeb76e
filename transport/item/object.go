package item

import (
	"bytes"
	"errors"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Errors of Object.
var (
	ErrNoObject = errors.New("item: not a JSON object")
	ErrUnknown  = errors.New("item: a member that is not known")
	ErrRepeated = errors.New("item: a member that comes twice")
)

// Object returns the members of a valid JSON value, which must be an object with members of the
// names in known, and no others. One that comes twice, of which readers take different ones (RFC
// 8259, section 4), is an error. The values are parts of value.
func Object(value []byte, known ...string) (map[string][]byte, error) {
	in := jsontext.NewDecoder(bytes.NewBuffer(value), Grammar...)
	if in.PeekKind() != '{' {
		return nil, ErrNoObject
	}
	_, _ = in.ReadToken() // the brace
	members := map[string][]byte{}
	for in.PeekKind() == '"' {
		token, err := in.ReadToken()
		if err != nil {
			return nil, ErrNoObject
		}
		name := token.String() // ahead of the next read
		if !slices.Contains(known, name) {
			return nil, ErrUnknown
		}
		if _, twice := members[name]; twice {
			return nil, ErrRepeated
		}
		member, err := in.ReadValue()
		if err != nil {
			return nil, ErrNoObject
		}
		end := in.InputOffset()
		members[name] = value[end-int64(len(member)) : end]
	}
	return members, nil
}
