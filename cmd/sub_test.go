package cmd_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pregon/pregon/cmd"
)

// scripted is a server whose answers to one client after the other are prepared:
// a status of three digits, or a stream that ends. When none is left, ended is
// called.
func scripted(t *testing.T, ended func(), answers ...string) string {
	t.Helper()
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(asked.Add(1)) - 1
		switch {
		case n >= len(answers):
			ended()
			<-r.Context().Done()
		case answers[n] == "503":
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, answers[n])
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// listen runs sub until the server has no more answers.
func listen(t *testing.T, args []string, answers ...string) (stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	url := scripted(t, cancel, answers...)
	var out, errs bytes.Buffer
	if code := cmd.Run(ctx, append([]string{"sub", "--url", url}, args...), nil, &out, &errs); code != 0 {
		t.Errorf("exit %d, %q", code, errs.String())
	}
	return out.String(), errs.String()
}

// What arrives is printed: lines are put together again, binary messages
// are decoded, and whatever is no message is not printed as one.
func TestSubPrints(t *testing.T) {
	stdout, stderr := listen(t, []string{"chat"},
		"retry: 10\n\n: alive\n\ndata: uno\ndata: \ndata:  dos\n\nevent: binary\ndata: AGH/\n\nevent: gap\ndata: {\"reason\":\"link-lost\"}\n\ndata:\n\ndata: cut")
	if want := "uno\n\n dos\n\x00a\xFF\n\n"; stdout != want {
		t.Errorf("printed %q, want %q", stdout, want)
	}
	if strings.Count(stderr, "link-lost") != 1 {
		t.Errorf("the gap is not told on stderr: %q", stderr)
	}
}

// Programs that read json read of gaps in the same place as of messages.
func TestSubPrintsGapsInJSON(t *testing.T) {
	gap := `{"type":"gap","channel":"chat","reason":"link-lost"}`
	stdout, _ := listen(t, []string{"chat", "--format", "json"}, "data: {}\n\nevent: gap\ndata: "+gap+"\n\ndata: []\n\n")
	if want := "{}\n" + gap + "\n[]\n"; stdout != want {
		t.Errorf("printed %q, want %q", stdout, want)
	}
}

// A stream that ends and a server that is not ready are no reasons to give up,
// and each hole is told, as is its end.
func TestSubReconnects(t *testing.T) {
	stdout, stderr := listen(t, []string{"chat"}, "data: uno\n\n", "503", "data: dos\n\n")
	if stdout != "uno\ndos\n" || strings.Count(stderr, "connecting again") != 3 || strings.Count(stderr, "pregon: connected again\n") != 1 {
		t.Errorf("printed %q and %q", stdout, stderr)
	}
}
