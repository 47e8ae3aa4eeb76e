package cmd_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/cmd"
	"github.com/pregon/pregon/transport"
)

// opened has the URLs with which careless:// was opened.
var opened = make(chan *url.URL, 8)

func init() {
	broker.Register("forgetful", func(_ context.Context, u *url.URL) (broker.Broker, error) {
		return memory.New(), broker.CheckParams(u)
	})
	broker.Register("careless", func(_ context.Context, u *url.URL) (broker.Broker, error) {
		opened <- u
		return memory.New(), nil // whatever the parameters say
	})
}

// The flags reach the driver as parameters, beside its own.
func TestHistoryFlagsReachTheDriver(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"careless://", "history=5m0s&history-size=7"},
		{"careless://host?", "history=5m0s&history-size=7"},
		{"careless://host/1?prefix=a%26b", "prefix=a%26b&history=5m0s&history-size=7"},
	} {
		for len(opened) > 0 {
			<-opened
		}
		if code, _, stderr := run(t, "", "--history", "5m", "--history-size", "7", "--broker", c.url); code != 2 {
			t.Error(code, stderr)
		}
		if u := <-opened; u.RawQuery != c.want || u.Scheme != "careless" {
			t.Errorf("%s was opened as %s", c.url, u)
		}
	}
}

func cursor(channel string, seq uint64) string {
	return transport.Cursor(channel, broker.Position{Epoch: 7, Seq: seq})
}

// A sub that comes back continues each channel behind what it has printed last, and
// says so where that is not possible.
func TestSubResumes(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	streams := []string{
		events(message("a", "uno", cursor("a", 1)), message("b", "dos", cursor("b", 4)), message("a", "tres", cursor("a", 2))),
		events(`{"type":"subscribed","channel":"a","recovered":false}`, `{"type":"subscribed","channel":"b","recovered":true}`),
	}
	var asked []url.Values
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/live" {
			http.NotFound(w, r)
			return
		}
		asked = append(asked, r.URL.Query())
		if len(asked) > len(streams) {
			cancel()
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, streams[len(asked)-1])
	}))
	defer s.Close()
	var stdout, stderr strings.Builder
	if code := cmd.Run(ctx, []string{"sub", "a", "b", "--last", "20", "--url", s.URL}, nil, &stdout, &stderr); code != 0 {
		t.Error(code, stderr.String())
	}
	both := url.Values{"channel": {"a", "b"}, "format": {"json"}, "since": {cursor("b", 4), cursor("a", 2)}}
	if cursor("a", 2) < cursor("b", 4) {
		both["since"] = []string{cursor("a", 2), cursor("b", 4)}
	}
	want := []url.Values{{"channel": {"a", "b"}, "format": {"json"}, "history": {"20"}}, both, both}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
	if got := stdout.String(); got != "[a] uno\n[b] dos\n[a] tres\n" {
		t.Errorf("printed %q", got)
	}
	if got := stderr.String(); strings.Count(got, "cannot be continued") != 1 || !strings.Contains(got, `"a" cannot`) {
		t.Errorf("told %q", got)
	}
}

// A key and a cursor are handed to the server as they are.
func TestKeyAndSinceAreSent(t *testing.T) {
	var key string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key = r.Header.Get("Idempotency-Key") + r.URL.Query().Get("since")
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = io.WriteString(w, `{"channel":"c"}`)
	}))
	defer s.Close()
	if code, _, stderr := run(t, "", "pub", "c", "m", "--key", "order 17", "--url", s.URL); code != 0 || key != "order 17" {
		t.Error(code, stderr, key)
	}
	if _, _, stderr := run(t, "", "sub", "c", "--since", cursor("c", 3), "--url", s.URL); key != cursor("c", 3) {
		t.Error(stderr, key)
	}
}
