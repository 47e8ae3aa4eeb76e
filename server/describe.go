package server

import (
	"net/http"

	"github.com/pregon/pregon/transport"
)

// describe answers with the description of a transport, which tools of any origin may read.
func describe(t transport.Describer) handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		_, _ = w.Write(t.AsyncAPI()) // a client that has gone is no error of ours
		return nil
	}
}
