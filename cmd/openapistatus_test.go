package cmd_test

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token"
)

// A failing broker keeps a history, and answers all that is asked for with err once it
// is set.
type failing struct {
	broker.Broker
	broker.Historian
	err error
}

func (f *failing) Publish(context.Context, broker.Message) (broker.Receipt, error) {
	return broker.Receipt{}, f.err
}

func (f *failing) History(context.Context, string, broker.Query) (broker.Page, error) {
	return broker.Page{}, f.err
}

func (f *failing) Clear(context.Context, string) error { return f.err }

// A panicking broker has a fault of its own.
type panicking struct{ *failing }

func (panicking) Publish(_ context.Context, m broker.Message) (broker.Receipt, error) {
	if m.Channel == "a" {
		panic("publish")
	}
	return broker.Receipt{}, nil // a heartbeat
}
func (panicking) History(context.Context, string, broker.Query) (broker.Page, error) {
	panic("history")
}
func (panicking) Clear(context.Context, string) error { panic("clear") }

// forgetting hides that a broker can clear its history.
type forgetting struct {
	broker.Broker
	broker.Historian
}

func kept() broker.Broker {
	return memory.NewBusWithHistory(broker.Retention{MaxMessages: 10, MaxAge: time.Minute}).Broker()
}

func failingWith(err error) *failing {
	b := kept()
	return &failing{b, b.(broker.Historian), err}
}

// A situation is a server that is asked.
type situation struct {
	broker  broker.Broker
	access  *access.Policy
	ready   bool // messages come back
	drained bool
	limited bool // nobody may publish who is no key
}

var situations = map[string]func() situation{
	"good":      func() situation { return situation{broker: kept(), ready: true} },
	"no past":   func() situation { return situation{broker: memory.New()} },
	"no clear":  func() situation { b := kept(); return situation{broker: forgetting{b, b.(broker.Historian)}} },
	"down":      func() situation { return situation{broker: failingWith(broker.ErrUnavailable)} },
	"uncertain": func() situation { return situation{broker: failingWith(broker.ErrUncertain)} },
	"faulty":    func() situation { return situation{broker: panicking{failingWith(errors.New("faulty"))}} },
	"protected": func() situation { return situation{broker: kept(), access: onlyGranted(), ready: true} },
	"limited":   func() situation { return situation{broker: kept(), limited: true} },
	"stopping":  func() situation { return situation{broker: kept(), drained: true} },
}

const (
	appKey   = "a-key-of-the-application"
	anaToken = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJl"
)

// onlyGranted lets in the key, and those whose token grants what they want.
func onlyGranted() *access.Policy {
	digest, err := access.DigestOf(appKey)
	if err != nil {
		panic(err)
	}
	p, err := access.New(access.Config{Keys: []access.Key{{Name: "app", Digest: digest}}, Tokens: anyToken{}})
	if err != nil {
		panic(err)
	}
	return p
}

// anyToken takes every token for one that grants nothing.
type anyToken struct{}

func (anyToken) Verify(context.Context, string) (token.Claims, error) {
	return token.Claims{Subject: "ana"}, nil
}

func (anyToken) Trusts(token.Fingerprint) bool { return true }

// A slow body does not come.
type slowBody struct{}

func (slowBody) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

// An attempt is a request that differs from the plainest one by a change, in a situation,
// and the status of its answer.
type attempt struct {
	in, change string
	want       int
}

// operations are all that is described, and how each status of theirs comes about. Those
// of hosts and long targets are the same for all.
var operations = map[string][]attempt{
	"POST /publish/{channel}": {
		{"protected", "body x", 401}, {"protected", "token", 403}, {"protected", "key", 200},
		{"good", "body x", 200}, {"good", "empty", 400}, {"good", "reserved", 403}, {"good", "slow", 408}, {"good", "long", 413},
		{"good", "type", 415}, {"limited", "body x", 429}, {"faulty", "body x", 500}, {"down", "body x", 503}, {"uncertain", "body x", 504},
	},
	"POST /publish": {
		{"protected", "body " + oneItem, 401}, {"protected", "token", 403}, {"protected", "key", 200},
		{"good", "body " + oneItem, 200}, {"good", "empty", 400}, {"good", "body " + reservedItem, 403}, {"good", "slow", 408}, {"good", "huge", 413},
		{"good", "type", 415}, {"limited", "body " + oneItem, 429}, {"faulty", "body " + oneItem, 500}, {"down", "body " + oneItem, 503}, {"uncertain", "body " + oneItem, 504},
	},
	"GET /history/{channel}": {
		{"protected", "", 401}, {"protected", "token", 403}, {"protected", "key", 200},
		{"good", "", 200}, {"good", "query limit=0", 400}, {"good", "reserved", 403}, {"no past", "", 404}, {"faulty", "", 500}, {"down", "", 503},
	},
	"DELETE /history/{channel}": {
		{"protected", "", 401}, {"protected", "token", 403}, {"protected", "key", 204},
		{"good", "", 204}, {"good", "query x=y", 400}, {"good", "reserved", 403}, {"no past", "", 404}, {"faulty", "", 500}, {"no clear", "", 501},
		{"down", "", 503}, {"uncertain", "", 503},
	},
	"GET /presence/{channel}": {
		{"protected", "", 401}, {"protected", "token", 403}, {"protected", "key", 200},
		{"good", "", 200}, {"good", "query limit=501", 400}, {"good", "reserved", 403},
	},
	"GET /ws/{channel}": {
		{"protected", "", 401}, {"protected", "token", 403}, {"protected", "key", 101},
		{"good", "", 101}, {"good", "query format=x", 400}, {"good", "reserved", 403}, {"good", "version", 426}, {"good", "hidden", 500}, {"stopping", "", 503},
	},
	"GET /ws": {
		{"protected", "query channel=a", 401}, {"protected", "token", 403}, {"protected", "key", 101},
		{"good", "query channel=a", 101}, {"good", "", 400}, {"good", "query channel=__a", 403}, {"good", "version", 426},
		{"good", "hidden", 500}, {"stopping", "query channel=a", 503},
	},
	// A handshake is answered with 101, and why not is said behind it.
	"GET /live/{channel}": {
		{"protected", "plain", 401}, {"protected", "", 101}, {"protected", "token", 101}, {"protected", "key", 101},
		{"good", "", 101}, {"good", "query format=x", 400}, {"good", "version", 426}, {"good", "hidden", 500}, {"stopping", "", 503},
	},
	"GET /live": {
		{"protected", "plain", 401}, {"protected", "", 101}, {"protected", "token", 101}, {"protected", "key", 101},
		{"good", "", 101}, {"good", "query channel=__a", 101}, {"good", "query channel=", 400}, {"good", "version", 426}, {"good", "hidden", 500}, {"stopping", "", 503},
	},
	"GET /sse/{channel}": {
		{"protected", "", 401}, {"protected", "token", 403}, {"protected", "key", 200},
		{"good", "", 200}, {"good", "query format=x", 400}, {"good", "reserved", 403}, {"good", "hidden", 500}, {"stopping", "", 200},
	},
	"GET /sse": {
		{"protected", "query channel=a", 401}, {"protected", "token", 403}, {"protected", "key", 200},
		{"good", "query channel=a", 200}, {"good", "", 400}, {"good", "query channel=__a", 403}, {"good", "hidden", 500},
		{"stopping", "query channel=a", 200},
	},
	"POST /sse": {
		{"protected", "body " + oneWish, 401}, {"protected", "token", 403}, {"protected", "key", 200},
		{"good", "body " + oneWish, 200}, {"good", "empty", 400}, {"good", `body {"channels":[{"channel":"__a"}]}`, 403}, {"good", "slow", 408},
		{"good", `body {"channels":[{"channel":"a"},{"channel":"a"}]}`, 409}, {"good", "body " + strings.Repeat(" ", 2<<20), 413}, {"good", "type", 415},
		{"good", "hidden", 500}, {"stopping", "body " + oneWish, 503},
	},
	"GET /asyncapi.json": {{"good", "", 200}},
	"GET /healthz":       {{"good", "", 200}, {"stopping", "", 200}},
	"GET /readyz":        {{"good", "", 200}, {"stopping", "", 503}},
	"GET /metrics":       {{"protected", "query token=a&token=b", 400}, {"good", "", 401}, {"protected", "", 401}, {"protected", "token", 403}, {"protected", "key", 200}},
	"GET /":              {{"good", "", 200}},
	"GET /pregon.js":     {{"good", "", 200}, {"good", "known", 304}},
	"GET /pregon.d.ts":   {{"good", "", 200}, {"good", "known", 304}},
}

const (
	longest      = 100 // bytes of a message
	oneItem      = `{"channel":"a","data":"x"}`
	reservedItem = `{"channel":"__a","data":"x"}`
	oneWish      = `{"channels":[{"channel":"a"}]}`
)

// objects are bodies of operations that take no others.
var objects = map[string]string{"POST /publish": oneItem, "POST /sse": oneWish}

// elsewhere are statuses that need a fault, a connection too many, or a proxy in front of an open
// server, at an address that does nothing else.
var elsewhere = map[string][]int{
	"GET /asyncapi.json": {403}, "GET /metrics": {429, 500, 503}, "GET /": {403, 429, 500, 503},
	"GET /pregon.js": {403, 429, 500, 503}, "GET /pregon.d.ts": {403, 429, 500, 503},
	"GET /history/{channel}": {429}, "DELETE /history/{channel}": {429}, "GET /ws": {429}, "GET /ws/{channel}": {429}, "POST /sse": {429},
	"GET /live": {403, 429}, "GET /live/{channel}": {403, 429},
}

// Each operation is answered with the statuses that are described for it and with no other.
func TestOpenAPIHasTheStatuses(t *testing.T) {
	described := map[string][]int{}
	for path, methods := range openAPI(t).Paths {
		for method, operation := range methods {
			name := strings.ToUpper(method) + " " + path
			for status := range operation.Responses {
				code, err := strconv.Atoi(status)
				if err != nil {
					t.Fatal(err)
				}
				described[name] = append(described[name], code)
			}
		}
	}
	for name := range operations {
		if described[name] == nil {
			t.Errorf("%s is not described", name)
		}
	}
	handlers := map[string]http.Handler{}
	for name, s := range situations {
		handlers[name] = s().handler(t)
	}
	for name, statuses := range described {
		seen := slices.Clone(elsewhere[name])
		for _, a := range append(operations[name], attempt{"good", "host", 421}, attempt{"good", "url", 414}) {
			if a.change == "host" && (name == "GET /healthz" || name == "GET /readyz") {
				continue // whoever asks for them by whatever name
			}
			if got := a.try(name, handlers[a.in]); got != a.want {
				t.Errorf("%s in %q, %q: %d, want %d", name, a.in, a.change, got, a.want)
			}
			seen = append(seen, a.want)
		}
		slices.Sort(seen)
		slices.Sort(statuses)
		if seen = slices.Compact(seen); !slices.Equal(seen, statuses) {
			t.Errorf("%s: described is %v, answered %v", name, statuses, seen)
		}
	}
}

func (s situation) handler(t *testing.T) http.Handler {
	t.Helper()
	var limits server.Limits
	if s.limited {
		limits.PublishRate = access.Rate{Events: 1, Per: time.Hour}
	}
	made, err := server.New(context.Background(), server.Options{
		Limits: limits,
		Broker: s.broker, Access: s.access, Logger: slog.New(slog.DiscardHandler), MaxMessage: longest, Hosts: []string{"example.com"}, DrainTime: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = made.Close(); _ = s.broker.Close() })
	if s.limited { // to one message, which is published
		answer := httptest.NewRecorder()
		if made.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/publish/a?message=x", nil)); answer.Code != http.StatusOK {
			t.Fatal(answer)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if s.ready {
		if err := made.Check(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if s.drained {
		made.Drain(ctx)
	}
	return made.Handler()
}

// request returns what is asked.
func (a attempt) request(operation string) *http.Request {
	method, path, _ := strings.Cut(operation, " ")
	channel := "a"
	if a.change == "reserved" {
		channel = "__a"
	}
	path = strings.Replace(path, "{channel}", channel, 1)
	kind, rest, _ := strings.Cut(a.change, " ")
	if listens := operation == "GET /ws" || operation == "GET /sse"; listens && a.change != "" && kind != "query" && kind != "url" {
		path += "?channel=a"
	}
	var body io.Reader
	switch kind {
	case "query":
		path += "?" + rest
	case "url":
		path += "?x=" + strings.Repeat("x", 8<<10)
	case "body":
		body = strings.NewReader(rest)
	case "slow":
		body = slowBody{}
	case "long":
		body = strings.NewReader(strings.Repeat("x", longest+1))
	case "huge":
		body = strings.NewReader(strings.Repeat("x", 16*longest+1))
	case "key", "token", "hidden":
		if method == http.MethodPost {
			body = strings.NewReader(cmp.Or(objects[operation], "x"))
		}
	case "reserved", "type":
		body = strings.NewReader("x")
	}
	r := httptest.NewRequest(method, path, body)
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	switch {
	case kind == "plain":
		r.Header = http.Header{}
	case kind == "known":
		r.Header.Set("If-None-Match", "*")
	case kind == "type":
		r.Header.Set("Content-Type", "image/png")
	case objects[operation] != "":
		r.Header.Set("Content-Type", "application/json")
	}
	switch kind {
	case "version":
		r.Header.Set("Sec-WebSocket-Version", "8")
	case "key":
		r.Header.Set("Authorization", "Bearer "+appKey)
	case "token":
		r.Header.Set("Authorization", "Bearer "+anaToken)
	case "host":
		r.Host = "evil.example"
	}
	return r
}

// try returns the status that h answers with.
func (a attempt) try(operation string, h http.Handler) int {
	r := a.request(operation)
	if a.change == "hidden" {
		w := httptest.NewRecorder()
		h.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
		return w.Code
	}
	client, taken := net.Pipe()
	defer client.Close()
	defer taken.Close()
	w := &hijackable{ResponseRecorder: httptest.NewRecorder(), conn: taken}
	read := make(chan int, 1)
	go func() {
		defer close(read)
		if resp, err := http.ReadResponse(bufio.NewReader(client), r); err == nil {
			read <- resp.StatusCode
		}
	}()
	if h.ServeHTTP(w, r); w.hijacked {
		return <-read
	}
	return w.Code
}

// A hijackable records an answer, or lets its connection be taken over.
type hijackable struct {
	*httptest.ResponseRecorder
	conn     net.Conn
	hijacked bool
}

func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h.hijacked = true
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}
