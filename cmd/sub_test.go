package cmd_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"github.com/pregon/pregon/cmd"
)

// scripted is a server whose answers to one client after the other are prepared:
// a status of three digits, or a stream that ends. When none is left, ended is
// called. It does not speak /live.
func scripted(t *testing.T, ended func(), answers ...string) string {
	t.Helper()
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/live" {
			http.NotFound(w, r)
			return
		}
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

// message returns the frame of a message; data that is no UTF-8 is in base64.
func message(channel, data, id string) string {
	m := map[string]string{"type": "message", "channel": channel, "data": data, "id": id}
	if !utf8.ValidString(data) {
		m["data"], m["encoding"] = base64.StdEncoding.EncodeToString([]byte(data)), "base64"
	}
	text, _ := json.Marshal(m)
	return string(text)
}

// events returns a stream of these frames.
func events(frames ...string) string {
	return "data: " + strings.Join(frames, "\n\ndata: ") + "\n\n"
}

// What arrives by an event stream is printed, and whatever is no message is not printed as one.
func TestSubPrintsStreams(t *testing.T) {
	stream := "retry: 10\n\n: alive\n\n" + events(message("chat", "uno\n\n dos", "")) + "event: binary\n" + events(message("chat", "\x00a\xFF", "")) +
		"event: gap\n" + events(`{"type":"gap","channel":"chat","reason":"link-lost"}`) + ":\n" + events(message("chat", "", "")) +
		"event: new\n" + events(`{"type":"new","channel":"chat"}`, "no JSON") + "data: {\"type\":\"message\"," + "\ndata: \"data\":\"two lines\"}\n\ndata: cut"
	for format, want := range map[string]string{
		"raw":  "uno\n\n dos\n\x00a\xFF\n\ntwo lines\n",
		"text": "[chat] uno\n\n dos\n[chat] \x00a\xFF\n[chat] \n[] two lines\n",
	} {
		stdout, stderr := listen(t, []string{"chat", "--format", format}, stream)
		if stdout != want {
			t.Errorf("%s: printed %q, want %q", format, stdout, want)
		}
		if strings.Count(stderr, "link-lost") != 1 {
			t.Errorf("%s: the gap is not told on stderr: %q", format, stderr)
		}
	}
}

// Programs that read json read of gaps in the same place as of messages.
func TestSubPrintsGapsInJSON(t *testing.T) {
	gap, uno := `{"type":"gap","channel":"chat","reason":"link-lost"}`, message("chat", "uno", "")
	stdout, stderr := listen(t, []string{"chat", "--format", "json"}, events(uno)+"event: gap\n"+events(gap, uno))
	if want := uno + "\n" + gap + "\n" + uno + "\n"; stdout != want || strings.Contains(stderr, "missing") {
		t.Errorf("printed %q and %q, want %q", stdout, stderr, want)
	}
}

// A stream that ends and a server that is not ready are no reasons to give up,
// and each hole is told, as is its end.
func TestSubReconnects(t *testing.T) {
	stdout, stderr := listen(t, []string{"chat"}, events(message("chat", "uno", "")), "503", events(message("chat", "dos", "")))
	if stdout != "[chat] uno\n[chat] dos\n" || strings.Count(stderr, "connecting again") != 3 || strings.Count(stderr, "pregon: connected again\n") != 1 {
		t.Errorf("printed %q and %q", stdout, stderr)
	}
	if strings.Count(stderr, "no WebSocket gets through: the server answered 404 Not Found; listening to an event stream instead") != 1 {
		t.Errorf("told %q", stderr)
	}
}
