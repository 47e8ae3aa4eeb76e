package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
)

// probed has what the last client of the transport probe wanted: tests that use it
// do not run together.
var probed = make(chan transport.SubscribeRequest, 1)

// starts returns where wanted begins in each channel.
func starts(wanted transport.SubscribeRequest) []transport.Start {
	var all []transport.Start
	for _, sub := range wanted.Subscriptions {
		all = append(all, sub.Start)
	}
	return all
}

func init() {
	transport.Register("probe", func(transport.Deps) (transport.Transport, error) { return probe{}, nil })
	transport.Register("resumer", func(transport.Deps) (transport.Transport, error) { return resumer{}, nil })
}

// A probe is a Transport that keeps what is wanted, and lets the client go.
type probe struct{}

func (probe) DefaultFormat() string { return "raw" }
func (probe) Wait()                 {}
func (probe) Serve(w http.ResponseWriter, _ *http.Request, wanted transport.SubscribeRequest) error {
	probed <- wanted
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// A resumer is a probe whose clients say where they stopped.
type resumer struct{ probe }

func (resumer) LastID(r *http.Request) (string, bool) {
	id := r.Header.Get("Last-Event-ID")
	return id, id != ""
}

func (resumer) Parameters() []string { return []string{"last"} }

// since is a Start behind a message of the epoch, or for 0 behind nothing known.
func since(seq uint64) transport.Start {
	if seq == 0 {
		return transport.Start{Since: true}
	}
	return transport.Start{Since: true, After: broker.Position{Epoch: epoch, Seq: seq}}
}

// What a client asks for is where it begins in each channel; a channel for which
// it has no cursor is not continued silently; and what a browser says when it
// comes back counts more than the address, which it repeats.
func TestStarts(t *testing.T) {
	n, _ := withPast(t, 10)
	for _, c := range []struct {
		name, path, lastID string
		want               []transport.Start
	}{
		{"live", "/probe/a", "", []transport.Start{{}}},
		{"since", "/probe/a?since=" + at("a", 3), "", []transport.Start{since(3)}},
		{"since of another channel", "/probe/a?since=" + at("b", 3), "", []transport.Start{since(0)}},
		{"since of many", "/probe?channel=a&channel=b&channel=c&since=" + at("c", 3) + "&since=" + at("a", 1), "",
			[]transport.Start{since(1), since(0), since(3)}},
		{"history", "/probe/a?history=20", "", []transport.Start{{Last: 20}}},
		{"history of many", "/probe?channel=a&channel=b&history=1000", "", []transport.Start{{Last: 1000}, {Last: 1000}}},
		{"last id", "/resumer/a", at("a", 3), []transport.Start{since(3)}},
		{"last id of many", "/resumer?channel=a&channel=b", at("b", 3), []transport.Start{since(0), since(3)}},
		{"last id before since", "/resumer/a?since=" + at("a", 1), at("a", 3), []transport.Start{since(3)}},
		{"last id before history", "/resumer/a?history=5", at("a", 3), []transport.Start{since(3)}},
		{"last id of another channel", "/resumer/a", at("b", 3), []transport.Start{since(0)}},
		{"last id of another server", "/resumer/a", "4711", []transport.Start{since(0)}},
		{"last id of bytes", "/resumer/a", "\xff\xfe", []transport.Start{since(0)}},
		{"last id far too long", "/resumer/a", strings.Repeat("x", 9000), []transport.Start{since(0)}},
		{"no last id", "/resumer/a?history=5", "", []transport.Start{{Last: 5}}},
		{"last id where nobody reads it", "/probe/a?history=5", at("a", 3), []transport.Start{{Last: 5}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var headers []string
			if c.lastID != "" {
				headers = []string{"Last-Event-ID: " + c.lastID}
			}
			resp, body := n.raw(get("GET "+c.path, headers...))
			if resp == nil || resp.StatusCode != http.StatusNoContent {
				t.Fatal(resp, body)
			}
			if diff := cmp.Diff(c.want, starts(<-probed)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Without a history a client that continues is let in, to be told that it was not
// recovered.
func TestSinceWithoutHistory(t *testing.T) {
	n := start(t, server.Options{})
	for path, id := range map[string]string{"/probe/a?since=" + at("a", 3): "", "/resumer/a": at("a", 3), "/resumer/a?history=3": at("a", 3)} {
		resp, body := n.raw(get("GET "+path, "Last-Event-ID: "+id))
		if resp == nil || resp.StatusCode != http.StatusNoContent {
			t.Fatal(path, resp, body)
		}
		if diff := cmp.Diff([]transport.Start{since(3)}, starts(<-probed)); diff != "" {
			t.Error(path, diff)
		}
	}
}

// An EventSource that loses its connection before it has heard anything comes back
// with the id of the stream's first block, and hears what came meanwhile, also in a
// channel that had no message.
func TestEventSourceBeforeTheFirstMessage(t *testing.T) {
	for name, url := range map[string]string{
		"memory": "memory://" + chaosHistory, "miniredis": "miniredis://" + chaosHistory, "redis": redistest.Start(t).URL() + chaosHistory,
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t, server.Options{Broker: open(t, url)})
			for _, c := range []struct{ text, told string }{
				{"first", `"recovered":false`}, // nothing proves that it is
				{"second", `"recovered":true`},
			} {
				id := n.firstID("/sse/c")
				n.publish("c", c.text)
				s := n.sse("/sse/c", "Last-Event-ID", id)
				if told := s.event(); !strings.Contains(told, c.told) {
					t.Errorf("told %q, want %s", told, c.told)
				}
				if got := s.event(); !strings.HasSuffix(got, "data: "+c.text) {
					t.Errorf("got %q, want %q", got, c.text)
				}
				past := n.history("/history/c?since=" + id).Messages
				if len(past) != 1 || past[0].Data != c.text {
					t.Errorf("the history has %+v behind the id, want %q", past, c.text)
				}
				// A publication is acknowledged before those who listen have it; behind this
				// one, which s hears live, nobody begins before what the round has published.
				n.publish("c", "settled")
				if got := s.event(); !strings.HasSuffix(got, "data: settled") {
					t.Errorf("got %q, want %q", got, "settled")
				}
			}
		})
	}
}

// firstID opens an event stream, reads its first block, and returns the id in it.
func (n *node) firstID(path string) string {
	n.t.Helper()
	s := n.sse(path)
	defer s.resp.Body.Close()
	id := ""
	for {
		line, err := s.ReadString('\n')
		if err != nil || line == "\n" {
			return id
		}
		if value, ok := strings.CutPrefix(line, "id: "); ok {
			id = strings.TrimSpace(value)
		}
	}
}
