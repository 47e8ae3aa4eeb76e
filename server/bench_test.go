package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
)

// BenchmarkPublish is what a publication costs beside net/http and the system. Of
// its allocations the recorder and the request are 22.
func BenchmarkPublish(b *testing.B) {
	m := memory.New()
	defer m.Close()
	s, err := server.New(b.Context(), server.Options{Broker: m})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	text := strings.Repeat("x", 128)
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/publish/chat", strings.NewReader(text))
		r.Header.Set("Content-Type", "text/plain")
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code, w.Body)
		}
	}
}
