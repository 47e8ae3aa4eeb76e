package server

import (
	_ "embed"
	"net/http"
)

//go:embed console.html
var consolePage []byte

// console answers with the page to try pregon in a browser.
func (s *Server) console(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy",
		"default-src 'none'; connect-src 'self' ws: wss:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	_, _ = w.Write(consolePage) // a browser that has gone is no error of ours
	return nil
}
