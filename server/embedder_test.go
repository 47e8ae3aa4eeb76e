package server_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/hub"
	door "github.com/pregon/pregon/server/node"
)

// forbidden is what lies behind the door.
var forbidden = []reflect.Type{
	reflect.TypeFor[broker.Broker](), reflect.TypeFor[broker.Feed](), reflect.TypeFor[broker.Historian](),
	reflect.TypeFor[broker.Marker](), reflect.TypeFor[broker.BatchPublisher](),
	reflect.TypeFor[*hub.Hub](), reflect.TypeFor[*door.Node](),
}

// A walker follows exported fields and the results of exported methods, through every
// interface to what is in it.
type walker struct {
	seen  map[any]bool
	found []string
}

// search looks at a value, and at whatever its fields hold.
func (b *walker) search(path string, v reflect.Value) {
	if !v.IsValid() || strings.Count(path, ".") > 12 {
		return
	}
	b.searchType(path, v.Type())
	switch v.Kind() {
	case reflect.Interface:
		b.search(path, v.Elem())
	case reflect.Pointer:
		if key := [2]any{v.Pointer(), v.Type()}; !v.IsNil() && !b.seen[key] {
			b.seen[key] = true
			b.search(path, v.Elem())
		}
	case reflect.Slice, reflect.Array:
		for i := range min(v.Len(), 100) {
			b.search(path+"[]", v.Index(i))
		}
	case reflect.Map:
		for each := v.MapRange(); each.Next(); {
			b.search(path+"[]", each.Value())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				b.search(path+"."+f.Name, v.Field(i))
			}
		}
	}
}

// searchType looks at a type, its fields', its elements' and its methods' results.
func (b *walker) searchType(path string, t reflect.Type) {
	if b.seen[t] {
		return
	}
	b.seen[t] = true
	for _, secret := range forbidden {
		if t == secret || secret.Kind() == reflect.Interface && t.Implements(secret) {
			b.found = append(b.found, path+" is a "+t.String())
		}
	}
	for i := range t.NumMethod() {
		m := t.Method(i)
		for j := range m.Type.NumOut() {
			b.searchType(path+"."+m.Name+"()", m.Type.Out(j))
		}
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map, reflect.Chan:
		b.searchType(path, t.Elem())
	case reflect.Func:
		for i := range t.NumOut() {
			b.searchType(path+"()", t.Out(i))
		}
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() {
				b.searchType(path+"."+f.Name, f.Type)
			}
		}
	}
}

// No program that has the Server reaches its hub or its broker by that.
func TestHostileEmbedder(t *testing.T) {
	b := memory.New()
	defer b.Close()
	s, err := server.New(context.Background(), server.Options{Broker: b})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	thief := walker{seen: map[any]bool{}}
	thief.search("server", reflect.ValueOf(s))
	thief.search("handler", reflect.ValueOf(s.Handler()))
	for _, found := range thief.found {
		t.Error(found)
	}
}

// The search finds what is there to be found: each way that the door must close.
func TestWalker(t *testing.T) {
	b := memory.New()
	defer b.Close()
	for name, open := range map[string]any{
		"field": struct{ B broker.Broker }{b}, "hidden": struct{ Any any }{b}, "list": []any{b},
		"method": opener{}, "hub": struct{ H *hub.Hub }{}, "function": func() *door.Node { return nil }, "map": map[string]any{"b": b},
	} {
		thief := walker{seen: map[any]bool{}}
		if thief.search(name, reflect.ValueOf(open)); len(thief.found) == 0 {
			t.Errorf("%s: nothing found", name)
		}
	}
	thief := walker{seen: map[any]bool{}}
	if thief.search("closed", reflect.ValueOf(struct{ b broker.Broker }{b})); len(thief.found) > 0 {
		t.Error(thief.found)
	}
}

type opener struct{}

func (opener) Open() broker.Broker { return nil }
