package sse_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

var update = flag.Bool("update", false, "write the golden file anew")

// What clients read is a contract: it is in a file, and changes are seen there.
func TestEventsAreGolden(t *testing.T) {
	var b strings.Builder
	for _, f := range transport.Formats() {
		e := join(t, f.Name()).Encoding.(transport.PresenceEncoding)
		kept := broker.Message{Channel: "c", Data: []byte("kept"), Position: began}
		for _, c := range []struct {
			name  string
			event []byte
		}{
			{"message", e.Message(broker.Message{Channel: "c", Data: []byte("two\nlines")})},
			{"message with a cursor", e.Message(kept)},
			{"binary message", e.Message(broker.Message{Channel: "c", Data: []byte{0xFF}, Binary: true})},
			{"gap", e.Gap(transport.Gap{Channel: "c", Reason: broker.LinkLost})},
			{"members", e.Members(transport.Members{Channel: "c", Count: 2, Members: []transport.Member{{Subject: "ana", Connections: 1}}, More: true})},
			{"presence", e.Presence(transport.Presence{Channel: "c", Joined: []transport.Member{{Subject: "bob"}}, Left: []string{"ana"}})},
		} {
			fmt.Fprintf(&b, "%s %s\n%s", f.Name(), c.name, unchunkedIfAny(t, c.event))
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, c := range []struct {
			name  string
			start transport.Start
		}{{"live", transport.Start{}}, {"continued", transport.Start{Since: true, After: began}}, {"with the last one", transport.Start{Last: 1}}} {
			if method == http.MethodGet && c.start.Last > 0 {
				continue // which is not answered
			}
			s := connectBy(t, method, "HTTP/1.1", "raw", c.start)
			for _, at := range []broker.Position{{}, began} {
				told, _ := s.subscribed[0].Answer(transport.Subscribed{Channel: "c", Recovered: true, Position: at})
				fmt.Fprintf(&b, "%s %s at %q\n%s", method, c.name, transport.Cursor("c", at), unchunkedIfAny(t, told))
			}
		}
	}
	const golden = "../../testdata/frames/sse.txt"
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

// unchunkedIfAny is unchunked for an event that may not be there.
func unchunkedIfAny(t *testing.T, chunks []byte) string {
	t.Helper()
	if len(chunks) == 0 {
		return "(nothing)\n\n"
	}
	return string(unchunked(t, chunks))
}
