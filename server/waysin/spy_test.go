package waysin_test

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/pregon/pregon/transport"
)

// A spy is a Transport that notes all that it is shown.
type spy struct{ seen *transcript }

func newSpy() spy { return spy{&transcript{}} }

func (s spy) make(transport.Deps) (transport.Transport, error) { return s, nil }

// DefaultFormat implements transport.Transport.
func (spy) DefaultFormat() string { return "raw" }

// Wait implements transport.Transport.
func (spy) Wait() {}

// Serve implements transport.Transport.
func (s spy) Serve(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
	return s.look(w, r, wanted.Client)
}

// Routes implements transport.Router.
func (s spy) Routes() []transport.Route {
	return []transport.Route{{Method: "GET", Path: "/own", Serve: s.look}, {Method: "POST", Path: "/at/*", Serve: s.look}}
}

func (s spy) look(w http.ResponseWriter, r *http.Request, c transport.Client) error {
	var header strings.Builder
	_ = r.Header.Write(&header)
	_, _ = fmt.Fprintf(s.seen, "%+v\n%s %s %s %v %v\n%s\n", c.Identity(), r.Method, r.RequestURI, r.URL, r.Form, r.PostForm, header.String())
	_, _ = fmt.Fprintln(w, c.Identity().Kind)
	return nil
}
