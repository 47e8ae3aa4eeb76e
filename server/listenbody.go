package server

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
)

// listenByBody returns the handler that connects clients of one transport which name their channels
// in a body. The bodies of all requests are bounded while they are read, and not for as long as a
// client listens.
func (s *Server) listenByBody(name string, t transport.Poster) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		var wanted transport.SubscribeRequest
		var client *node.Client
		err := s.bodies.bounded(func(w http.ResponseWriter, r *http.Request) (err error) {
			wanted, client, err = s.wantedOfBody(w, r, t)
			return err
		})(w, r)
		if err != nil {
			return err
		}
		wanted.Client = s.listening(r, client.Over(name), name)
		err = s.connect(r, client, func() error { return t.ServePost(w, r, wanted) })
		if failed := (*transport.OpenError)(nil); errors.As(err, &failed) {
			return s.problemOfWish(r, failed.Index, err)
		}
		return err
	}
}

// wantedOfBody returns what a client asks to hear, and may: POST /name with ?format=.
func (s *Server) wantedOfBody(w http.ResponseWriter, r *http.Request, t transport.Transport) (wanted transport.SubscribeRequest, client *node.Client, err error) {
	query, err := parseQuery(r)
	if err != nil {
		return wanted, nil, err
	}
	if err := checkParameters(query, []string{"format"}); err != nil {
		return wanted, nil, err
	}
	if wanted.Format, err = queryFormat(query, t.DefaultFormat()); err != nil {
		return wanted, nil, err
	}
	client, verdict := s.clientOf(r)
	wanted.Subscriptions, err = s.readWishes(w, r, wanted.Format, cmp.Or(verdict, nowhere(client, access.Subscribe)))
	switch {
	case err != nil:
		return wanted, nil, err
	case verdict != nil:
		return wanted, nil, verdict
	}
	for i, sub := range wanted.Subscriptions {
		if err := client.Check(access.Subscribe, sub.Channel); err != nil {
			return wanted, nil, s.problemOfWish(r, i, err)
		}
	}
	return wanted, client, nil
}
