package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/hub"
	servernode "github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
)

func init() {
	transport.Register("prying", func(env transport.Deps) (transport.Transport, error) { return prying{env}, nil })
}

// loot is what the last client of the transport prying could get hold of: tests that use
// it do not run together.
var loot = make(chan []string, 1)

// A prying is a Transport that tries to get behind the door.
type prying struct{ env transport.Deps }

func (prying) DefaultFormat() string { return "raw" }
func (prying) Wait()                 {}

func (p prying) Serve(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
	b := &burglar{seen: map[any]bool{}}
	b.enter("Env", reflect.ValueOf(p.env))
	b.enter("Wanted", reflect.ValueOf(wanted))
	b.enter("Client", reflect.ValueOf(wanted.Client))
	b.enter("ResponseWriter", reflect.ValueOf(w))
	b.enter("Request", reflect.ValueOf(r))
	b.enter("http.Server", reflect.ValueOf(r.Context().Value(http.ServerContextKey)))
	b.join(r.Context(), p.env, wanted)
	b.names(r.Context(), wanted.Client)
	loot <- b.found
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// A burglar goes wherever exported fields lead, and tries whether what it finds is, or
// can do, what only the server may.
type burglar struct {
	seen  map[any]bool
	found []string
}

// try asserts v to all that would be worth having.
func (b *burglar) try(where string, v any) {
	switch v.(type) {
	case broker.Broker, broker.Feed, broker.Historian, broker.BatchPublisher, broker.Marker, broker.Diagnoser:
	case *access.Policy, *access.Caller, *hub.Hub, *servernode.Node, *server.Server, server.Options, *server.Options, *echo.Echo, *echo.Router:
	case interface {
		Drain(context.Context, time.Duration)
	}, interface{ Sessions() int }, interface{ Stats() hub.Stats }:
	default:
		return
	}
	b.found = append(b.found, fmt.Sprintf("%s is a %T", where, v))
}

// enter tries v and what its exported fields and elements lead to. A struct is tried by
// the pointer to it where there is one: its copy would read what others write.
func (b *burglar) enter(where string, v reflect.Value) {
	if !v.IsValid() || !v.CanInterface() {
		return
	}
	if v.Kind() != reflect.Struct {
		b.try(where, v.Interface())
	} else if v.CanAddr() {
		b.try(where, v.Addr().Interface())
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() || v.Kind() == reflect.Pointer && b.seen[v.Interface()] {
			return
		}
		if v.Kind() == reflect.Pointer {
			b.seen[v.Interface()] = true
		}
		b.enter(where, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			b.enter(where+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case reflect.Slice, reflect.Array:
		for i := range min(v.Len(), 100) {
			b.enter(where, v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			b.enter(where, v.MapIndex(key))
		}
	}
}

// join tries what a Session leads to.
func (b *burglar) join(ctx context.Context, env transport.Deps, wanted transport.SubscribeRequest) {
	s := env.Sockets.New()
	defer s.Close()
	session, err := transport.Open(ctx, wanted.Client, transport.Subscriber{Socket: s, Encoding: plainEncoding{}, Control: plainEncoding{}}, wanted.Subscriptions)
	if err != nil {
		b.found = append(b.found, "cannot join: "+err.Error())
		return
	}
	defer session.Leave()
	b.enter("Session", reflect.ValueOf(session))
}

// names tries what is reserved.
func (b *burglar) names(ctx context.Context, c transport.Client) {
	const reserved = broker.ReservedPrefix + "pregon"
	_, history := c.History(ctx, reserved, broker.Query{Limit: 1})
	_, _, watch := c.Watch(ctx, reserved)
	for what, err := range map[string]error{
		"publish": c.Publish(ctx, broker.Message{Channel: reserved})[0].Err, "history": history, "watch": watch,
	} {
		if refused := (*broker.ChannelError)(nil); !errors.As(err, &refused) {
			b.found = append(b.found, fmt.Sprintf("%s of a reserved name: %v", what, err))
		}
	}
}

// A plainEncoding has nothing to tell but messages.
type plainEncoding struct{}

func (plainEncoding) Message(m broker.Message) []byte    { return m.Data }
func (plainEncoding) Gap(transport.Gap) []byte           { return nil }
func (plainEncoding) Ping() []byte                       { return nil }
func (plainEncoding) Close(transport.CloseReason) []byte { return nil }

// A transport that tries all that it is given finds neither a broker nor the hub, and
// cannot use a reserved name.
func TestFoundHostileTransport(t *testing.T) {
	for name, credential := range map[string]string{"open": "", "a stranger": "", "a user": anaToken, "a key": listenKey} {
		o := server.Options{}
		if name != "open" {
			o.Access = rules(t, true, true)
		}
		n := start(t, o)
		n.credential = credential
		if resp, body := n.raw(get("GET /prying/news")); resp == nil || resp.StatusCode != http.StatusNoContent {
			t.Fatal(name, resp, body)
		}
		for _, found := range <-loot {
			t.Errorf("%s: %s", name, found)
		}
	}
	// The burglar would see what there is to see.
	b := &burglar{seen: map[any]bool{}}
	b.enter("Options", reflect.ValueOf(struct{ Deep []any }{[]any{&server.Options{Broker: newPast(1)}}}))
	if len(b.found) < 2 {
		t.Error("the test sees no broker where there is one:", b.found)
	}
}
