package node_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
)

// behindTheDoor is what no Transport can have.
var behindTheDoor = []reflect.Type{
	reflect.TypeFor[broker.Broker](), reflect.TypeFor[broker.Feed](), reflect.TypeFor[broker.Historian](),
	reflect.TypeFor[broker.BatchPublisher](), reflect.TypeFor[broker.Marker](),
}

const ours = "github.com/pregon/pregon/"

// From what a Transport is given, no exported field or method leads to a broker, to the
// hub, or to the node.
func TestNothingLeadsBehindTheDoor(t *testing.T) {
	t.Parallel()
	seen := reachable(
		reflect.TypeFor[transport.Deps](), reflect.TypeFor[transport.SubscribeRequest](), reflect.TypeFor[transport.Client](),
		reflect.TypeFor[transport.Session](), reflect.TypeFor[*node.Client](),
	)
	for found := range seen {
		if bad(found) {
			t.Errorf("%v is in reach", found)
		}
	}
	for _, want := range []reflect.Type{reflect.TypeFor[broker.Page](), reflect.TypeFor[broker.Message](), reflect.TypeFor[transport.Start]()} {
		if !seen[want] {
			t.Errorf("the test does not see %v", want)
		}
	}
	// A way there would be seen.
	type leak struct {
		B []func() map[string]broker.Broker
	}
	if !reachable(reflect.TypeFor[leak]())[reflect.TypeFor[broker.Broker]()] {
		t.Error("the test does not see a leak")
	}
	if !bad(reflect.TypeFor[*node.Node]()) || !bad(reflect.TypeFor[broker.Broker]()) {
		t.Error("the test does not know what is behind the door")
	}
}

func bad(found reflect.Type) bool {
	for _, behind := range behindTheDoor {
		if found.Implements(behind) {
			return true
		}
	}
	of := found
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	return strings.HasPrefix(of.PkgPath(), ours+"server") && of != reflect.TypeFor[node.Client]() && of != reflect.TypeFor[access.Action]()
}

// reachable returns the types to which exported fields and methods lead from some. It
// goes into those of the module only: there is nothing of ours in others.
func reachable(from ...reflect.Type) map[reflect.Type]bool {
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type)
	visit = func(t reflect.Type) {
		if seen[t] {
			return
		}
		seen[t] = true
		for _, shown := range next(t) {
			visit(shown)
		}
	}
	for _, t := range from {
		visit(t)
	}
	return seen
}

// next returns the types that a type shows.
func next(t reflect.Type) []reflect.Type {
	if t.PkgPath() != "" && !strings.HasPrefix(t.PkgPath(), ours) {
		return nil
	}
	var to []reflect.Type
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Chan:
		to = append(to, t.Elem())
	case reflect.Map:
		to = append(to, t.Key(), t.Elem())
	case reflect.Func:
		for i := range t.NumIn() {
			to = append(to, t.In(i))
		}
		for i := range t.NumOut() {
			to = append(to, t.Out(i))
		}
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() || f.Anonymous {
				to = append(to, f.Type)
			}
		}
	}
	for i := range t.NumMethod() {
		to = append(to, t.Method(i).Type)
	}
	if t.PkgPath() != "" && t.Kind() != reflect.Interface {
		to = append(to, reflect.PointerTo(t)) // for the methods that it has there
	}
	return to
}
