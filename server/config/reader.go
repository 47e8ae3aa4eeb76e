package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/pregon/pregon/server/access"
)

// A reader turns the nodes of a file into values, and collects what is wrong with them, so that
// all of it is told at once.
type reader struct {
	dir     string // of the file
	options Options

	faults, warnings []Diagnostic
}

func (r *reader) fault(n *yaml.Node, format string, args ...any) {
	r.faults = append(r.faults, Diagnostic{n.Line, n.Column, fmt.Sprintf(format, args...)})
}

func (r *reader) warn(n *yaml.Node, format string, args ...any) {
	r.warnings = append(r.warnings, Diagnostic{n.Line, n.Column, fmt.Sprintf(format, args...)})
}

// kinds are the words for what a node is.
var kinds = map[yaml.Kind]string{yaml.MappingNode: "a mapping, of names and their values", yaml.SequenceNode: "a list", yaml.ScalarNode: "one value"}

// is reports whether n is of a kind. Otherwise that is a fault.
func (r *reader) is(n *yaml.Node, want yaml.Kind) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		r.fault(n, "%s", noAlias)
	case n.Style&yaml.TaggedStyle != 0:
		r.fault(n, "tags, which begin with !, are not taken")
	case n.Kind != want || n.Tag == "!!null":
		r.fault(n, "this must be %s", kinds[want])
	default:
		return true
	}
	return false
}

// fields are the names that an object may have, each with what reads its value.
type fields map[string]func(*yaml.Node)

// object reads a mapping. It returns the nodes of its names.
func (r *reader) object(n *yaml.Node, known fields) map[string]*yaml.Node {
	found := map[string]*yaml.Node{}
	if !r.is(n, yaml.MappingNode) {
		return found
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		read, ok := known[name.Value]
		switch {
		case !r.is(name, yaml.ScalarNode):
		case !ok:
			r.unknown(name, known)
		case found[name.Value] != nil:
			r.fault(name, "%s is given twice; the first is in line %d", name.Value, found[name.Value].Line)
		default:
			found[name.Value] = name
			read(value)
		}
	}
	return found
}

// otherNames are for what is called otherwise as a flag than in the file.
var otherNames = map[string]string{
	"allow-origin": "origins", "host": "hosts", "trust-proxy": "trust-proxies",
	"publish-key": "keys", "jwt-key": "tokens", "jwks": "tokens",
}

// unknown says that a name is none of those that are known, and which one may be meant. It quotes
// the name unless that may be a secret.
func (r *reader) unknown(name *yaml.Node, known fields) {
	all := make([]string, 0, len(known))
	for k := range known {
		all = append(all, k)
	}
	slices.Sort(all)
	near := Nearest(name.Value, all)
	if other := otherNames[name.Value]; near == "" && known[other] != nil {
		near = other
	}
	shown := ""
	if near != "" || len(name.Value) < access.MinKey {
		shown = " " + oneLine(name.Value)
	}
	switch {
	case near != "":
		r.fault(name, "unknown key%s; did you mean %s?", shown, near)
	case len(all) > 12:
		r.fault(name, "unknown key%s", shown)
	default:
		r.fault(name, "unknown key%s; there are %s", shown, strings.Join(all, ", "))
	}
}

// list reads a sequence.
func (r *reader) list(n *yaml.Node, each func(*yaml.Node)) {
	if !r.is(n, yaml.SequenceNode) {
		return
	}
	for _, item := range n.Content {
		each(item)
	}
}

// need says that an object lacks a name that it must have.
func (r *reader) need(n *yaml.Node, found map[string]*yaml.Node, name string) {
	if found[name] == nil && n.Kind == yaml.MappingNode {
		r.fault(n, "%s is missing", name)
	}
}

// exactlyOne says that an object has none, or several, of names that stand for each other.
func (r *reader) exactlyOne(n *yaml.Node, found map[string]*yaml.Node, names ...string) {
	var has []*yaml.Node
	for _, name := range names {
		if found[name] != nil {
			has = append(has, found[name])
		}
	}
	list := strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
	switch {
	case n.Kind != yaml.MappingNode:
	case len(has) == 0:
		r.fault(n, "%s is missing", list)
	case len(has) > 1:
		slices.SortFunc(has, func(a, b *yaml.Node) int { return a.Line - b.Line })
		r.fault(has[1], "only one of %s belongs here", list)
	}
}
