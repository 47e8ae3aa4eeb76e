package server_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server"
)

// A recorder is a broker that keeps the last message, and all.
type recorder struct {
	*scripted
	last *broker.Message
	all  *[]broker.Message
}

func (r recorder) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	if strings.HasPrefix(m.Channel, "__") {
		return r.scripted.Publish(ctx, m) // the heartbeat
	}
	*r.last, *r.all = m, append(*r.all, m)
	return broker.Receipt{}, nil
}

// Any body of any type is published or refused, never a failure of the server;
// what is published as text is UTF-8, and bodies that are taken as they are
// arrive as they are.
func FuzzPublishBody(f *testing.F) {
	types := []string{"", "text/plain", "application/json", "application/x-www-form-urlencoded", "application/octet-stream", "text/html", "a/b; c"}
	for i := range types {
		for _, body := range []string{"hola", `"¡hola!"`, `{"a":[1e400,"\ud800"]}`, "null", "message=a%20b", "\xff\xfe", "", `"`, "[[[["} {
			f.Add(i, body)
		}
	}
	var last broker.Message
	send := recording(f, &last, new([]broker.Message))
	f.Fuzz(func(t *testing.T, kind int, body string) {
		contentType := types[uint(kind)%uint(len(types))]
		last = broker.Message{}
		answer := send("/publish/c", contentType, body)
		switch {
		case answer.Code >= 500 || answer.Code != 200 && answer.Code < 400:
			t.Fatalf("%q %q: %d", contentType, body, answer.Code)
		case answer.Code != 200:
			if last.Channel != "" {
				t.Fatalf("%q %q: refused and published", contentType, body)
			}
			return
		case !last.Binary && !utf8.Valid(last.Data):
			t.Fatalf("%q %q: text %q", contentType, body, last.Data)
		}
		want := body
		if contentType == "application/json" {
			var text *string
			if json.Unmarshal([]byte(body), &text) == nil && text != nil {
				want = *text
			}
		}
		if contentType != "application/x-www-form-urlencoded" && string(last.Data) != want {
			t.Fatalf("%q %q: published %q", contentType, body, last.Data)
		}
	})
}

// recording returns what sends a publication to a server that keeps it.
func recording(f *testing.F, last *broker.Message, all *[]broker.Message) func(path, contentType, body string) *httptest.ResponseRecorder {
	s, err := server.New(context.Background(), server.Options{
		Broker: recorder{newScripted(), last, all}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	return func(path, contentType, body string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		req.Header.Set("Content-Type", contentType)
		answer := httptest.NewRecorder()
		s.Handler().ServeHTTP(answer, req)
		return answer
	}
}
