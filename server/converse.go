package server

import (
	"cmp"
	"net/http"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
)

// converse returns the handler that connects clients of a transport which say what they want when
// they are connected. What the caller may not is said there, too, but for what concerns the whole
// server.
func (s *Server) converse(name string, t transport.Conversation) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		wanted, unheard := s.wantedOf(r, name, t)
		if unheard != nil && s.refusedCaller(r, unheard) == nil {
			return unheard // its form is wrong
		}
		client, err := s.clientOf(r)
		if err == nil {
			err = cmp.Or(nothingAllowed(client), unheard)
		}
		if err == nil && r.Header.Get("Upgrade") == "" { // a page asks plainly what a handshake would be told in there
			err = client.Check(access.Subscribe, names(wanted.Subscriptions)...)
		}
		if p := s.refusedCaller(r, err); p != nil {
			if err := t.Refuse(w, r, p); err != nil {
				return err
			}
			s.problems.count(p)
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.admitListener(client); err != nil {
			return err
		}
		wanted.Client = s.listening(r, client.Over(name), name)
		return t.Serve(w, r, wanted)
	}
}

// nothingAllowed returns why a caller may do nothing at all, nil where it may do something in some
// channel.
func nothingAllowed(c *node.Client) error {
	if c.CheckAnywhere(access.Publish) == nil {
		return nil
	}
	return c.CheckAnywhere(access.Subscribe)
}

// refusedCaller returns the answer to a caller that is not let in, nil where err has another cause.
func (s *Server) refusedCaller(r *http.Request, err error) *transport.Problem {
	p := saidProblem(err)
	if p == nil && err != nil {
		p = s.accessProblem(r, err)
	}
	if p != nil && (p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden) {
		return p
	}
	return nil
}
