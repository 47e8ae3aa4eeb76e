package transport_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

var update = flag.Bool("update", false, "write the golden file anew")

// What clients read is a contract: it is in a file, and changes are seen there.
func TestFormatsAreGolden(t *testing.T) {
	var b strings.Builder
	for _, f := range transport.Formats() {
		for _, m := range []broker.Message{
			{Channel: "chat", Data: []byte("¡Hola mundo!")},
			{Channel: "a/ñ", Data: []byte("")},
			{Channel: "chat", Data: []byte("<b>\"quoted\"</b> & \\ \n\t\x00\u2028")},
			{Channel: "chat", Data: []byte(`{"json": [1, 2]}`)},
			{Channel: "chat", Data: []byte{0xFF, 0x00}, Binary: true},
			{Channel: "chat", Data: []byte("kept"), Position: broker.Position{Epoch: 7, Seq: 3}},
			{Channel: "chat", Data: []byte("hola"), By: &broker.Author{Subject: "u1", Session: "s1"}},
			{Channel: "chat", Data: []byte{0xFF}, Binary: true, Position: broker.Position{Epoch: 7, Seq: 3}, By: &broker.Author{Subject: "<ñ\">"}},
			{Channel: "chat", Data: []byte("hola"), By: &broker.Author{Session: "s1"}},
		} {
			payload, isBinary := f.AppendMessage(nil, m)
			fmt.Fprintf(&b, "%s message binary=%v %q\n", f.Name(), isBinary, payload)
		}
		for _, g := range []transport.Gap{
			{Channel: "chat", Reason: broker.LinkLost},
			{Channel: "chat", Reason: transport.NotRetained, From: broker.Position{Epoch: 7, Seq: 3}, To: broker.Position{Epoch: 7, Seq: 9}},
		} {
			payload, ok := f.AppendGap(nil, g)
			fmt.Fprintf(&b, "%s gap told=%v %q\n", f.Name(), ok, payload)
		}
		for _, s := range []transport.Subscribed{
			{Channel: "chat", Recovered: true, Position: broker.Position{Epoch: 7, Seq: 9}},
			{Channel: "chat"},
		} {
			payload, ok := f.AppendSubscribed(nil, s)
			fmt.Fprintf(&b, "%s subscribed told=%v %q\n", f.Name(), ok, payload)
		}
		ana := transport.Member{Subject: "ana", Info: json.RawMessage(`{"name": "<Ana>"}`), Connections: 2}
		for _, m := range []transport.Members{
			{Channel: "chat"},
			{Channel: "chat", Count: 3, Members: []transport.Member{ana, {Subject: "ñ\""}}, More: true},
			{Channel: "chat", Count: 1, Members: []transport.Member{ana}, Incomplete: true},
		} {
			payload, ok := f.AppendMembers(nil, m)
			fmt.Fprintf(&b, "%s members told=%v %q\n", f.Name(), ok, payload)
		}
		for _, p := range []transport.Presence{
			{Channel: "chat", Joined: []transport.Member{{Subject: "ana", Info: ana.Info}}, Left: []string{"u2", "ñ\""}},
			{Channel: "chat", Left: []string{"u3"}},
			{Channel: "chat", Count: 1001},
		} {
			payload, ok := f.AppendPresence(nil, p)
			fmt.Fprintf(&b, "%s presence told=%v %q\n", f.Name(), ok, payload)
		}
	}
	const golden = "../testdata/frames/formats.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Error(diff)
	}
}

// Formats append: what was there stays.
func TestFormatsAppend(t *testing.T) {
	for _, f := range transport.Formats() {
		before := []byte("before")
		payload, _ := f.AppendMessage(before, broker.Message{Channel: "c", Data: []byte("x")})
		if !strings.HasPrefix(string(payload), "before") {
			t.Errorf("%s: %q", f.Name(), payload)
		}
		if got, ok := transport.FormatByName(f.Name()); !ok || got != f {
			t.Error(f.Name(), "is not found by its name")
		}
	}
	if _, ok := transport.FormatByName("xml"); ok {
		t.Error("xml is a format")
	}
}

// A problem is an object as RFC 9457 says.
func TestProblem(t *testing.T) {
	var err error = &transport.Problem{Status: 503, Code: "draining", Detail: "Come back.", RetryAfter: 2, Header: http.Header{"X-Test": {"1"}},
		Extensions: map[string]any{"index": 3}}
	var p *transport.Problem
	if !errors.As(err, &p) || p.Error() != "503 draining: Come back." {
		t.Error(err)
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, nil)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"type": "about:blank", "title": "Service Unavailable", "status": 503.0, "code": "draining", "detail": "Come back.", "index": 3.0}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Error(diff)
	}
	h := w.Header()
	if h.Get("Content-Type") != "application/problem+json" || h.Get("Retry-After") != "2" || h.Get("X-Test") != "1" {
		t.Error(h)
	}
}
