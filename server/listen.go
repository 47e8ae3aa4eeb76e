package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
)

// listen returns the handler that connects clients of one transport.
func (s *Server) listen(name string, t transport.Transport) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		wanted, err := s.wantedOf(r, name, t)
		if err != nil {
			return err
		}
		client, err := s.permitted(r, access.Subscribe, names(wanted.Subscriptions)...)
		if err != nil {
			return err
		}
		wanted.Client = s.listening(r, client.Over(name), name)
		return s.connect(r, client, func() error { return t.Serve(w, r, wanted) })
	}
}

// connect lets client listen by serve, if there is room.
func (s *Server) connect(r *http.Request, client *node.Client, serve func() error) error {
	if err := s.admitListener(client); err != nil {
		return err
	}
	err := serve()
	if err != nil && errors.Is(r.Context().Err(), context.Canceled) {
		s.logOf(r).Debug("server: a client went away before it was connected", "error", err)
		return notSubscribed() // as nobody will read
	}
	return err
}

// retrying returns next for clients of t: where they give up at an error status, t
// answers what they may come back after.
func (s *Server) retrying(t transport.Transport, next handler) handler {
	retrier, ok := t.(transport.Retrier)
	if !ok {
		return next
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		err := next(w, r)
		if err == nil {
			return nil
		}
		p := s.problemOf(r, err)
		if p.RetryAfter == 0 {
			return p
		}
		s.problems.count(p)
		retrier.Retry(w, r, p)
		return nil
	}
}

// admitListener returns why c may not listen now. It is asked ahead of the transport, so
// that a page can learn by a plain request what its WebSocket cannot see.
func (s *Server) admitListener(c *node.Client) error {
	switch {
	case s.draining.Load():
		return draining()
	case s.full():
		return tooManyConnections()
	}
	return c.CheckRoom()
}

// full reports whether no more clients may listen or wait, and counts the one that asks.
func (s *Server) full() bool {
	full := s.hub.Sessions()+int(s.polls.Load()) >= s.options.MaxConnections
	if full {
		s.refusedListeners.Add(1)
	}
	return full
}

func tooManyConnections() *transport.Problem {
	return &transport.Problem{Status: http.StatusServiceUnavailable, Code: "too_many_connections", RetryAfter: 5,
		Detail: "This server has as many listeners as it takes.", Header: http.Header{"Connection": {"close"}}}
}

// wantedOf returns what the client asks to hear: /name/{channel} or
// /name?channel=a&channel=b, with ?format=, ?presence= and where to begin in both.
func (s *Server) wantedOf(r *http.Request, name string, t transport.Transport) (transport.SubscribeRequest, error) {
	var wanted transport.SubscribeRequest
	query, err := parseQuery(r)
	if err != nil {
		return wanted, err
	}
	if err := checkParameters(query, parametersOf(t)); err != nil {
		return wanted, err
	}
	if wanted.Format, err = queryFormat(query, t.DefaultFormat()); err != nil {
		return wanted, err
	}
	presence, err := queryPresence(query, wanted.Format)
	if err != nil {
		return wanted, err
	}
	channels, err := listenChannels(r, query, name, t)
	if err != nil {
		return wanted, err
	}
	starts, err := s.startsOf(r, query, channels, t)
	wanted.Subscriptions = subscriptions(channels, starts)
	for i := range wanted.Subscriptions {
		wanted.Subscriptions[i].Presence = presence
	}
	return wanted, err
}

// startsOf returns where r asks to begin in each of channels, nil where it asks for nothing.
func (s *Server) startsOf(r *http.Request, query url.Values, channels []string, t transport.Transport) ([]transport.Start, error) {
	if resumer, resumes := t.(transport.Resumer); resumes {
		if id, said := resumer.LastID(r); said {
			return resume(channels, id), nil
		}
	}
	return queryStarts(query, channels, s.node.KeepsHistory())
}

// subscriptions puts channels and where to begin in each together. Without starts all
// begin live.
func subscriptions(channels []string, starts []transport.Start) []transport.Subscription {
	all := make([]transport.Subscription, len(channels))
	for i, channel := range channels {
		all[i].Channel = channel
		if starts != nil {
			all[i].Start = starts[i]
		}
	}
	return all
}

// names returns the channels of subscriptions.
func names(subs []transport.Subscription) []string {
	channels := make([]string, len(subs))
	for i := range subs {
		channels[i] = subs[i].Channel
	}
	return channels
}

// listenParameters are the parameters of a query that every transport takes.
var listenParameters = []string{"channel", "format", "since", "history", "presence"}

// parametersOf returns those that t takes.
func parametersOf(t transport.Transport) []string {
	known := listenParameters
	if _, converses := t.(transport.Conversation); converses { // it has one format
		known = slices.DeleteFunc(slices.Clone(known), func(name string) bool { return name == "format" })
	}
	if resumer, resumes := t.(transport.Resumer); resumes {
		known = slices.Concat(known, resumer.Parameters())
	}
	return known
}

// checkParameters returns a problem where the query has others than known: what is
// not understood would otherwise be passed over without a word.
func checkParameters(query url.Values, known []string) error {
	for name := range query {
		if !slices.Contains(known, name) {
			return badRequest("bad_query", "The query has a parameter that is not known here. Known: "+strings.Join(known, ", ")+".")
		}
	}
	return nil
}

func queryFormat(query url.Values, byDefault string) (transport.Format, error) {
	named := query["format"]
	if len(named) == 0 {
		named = []string{byDefault}
	}
	format, ok := transport.FormatByName(named[0])
	if !ok || len(named) > 1 {
		return nil, badRequest("bad_format", "The format is one of text, raw and json.")
	}
	return format, nil
}

// queryPresence reports whether the client is to be told who is in its channels.
func queryPresence(query url.Values, format transport.Format) (bool, error) {
	asked := query["presence"]
	switch {
	case len(asked) == 0:
		return false, nil
	case len(asked) > 1 || asked[0] != "0" && asked[0] != "1":
		return false, badRequest("bad_presence", "Give presence once, as 1 or 0.")
	case asked[0] == "0":
		return false, nil
	}
	return true, checkTellsPresence(format)
}

// checkTellsPresence returns a problem where a format cannot tell who is in a channel.
func checkTellsPresence(format transport.Format) error {
	if _, told := format.AppendPresence(nil, transport.Presence{}); !told {
		return badRequest("bad_presence", "Who is in a channel can be told in the format json only.")
	}
	return nil
}

// listenChannels returns the channels that r names. Clients that say later what they want need not
// name one.
func listenChannels(r *http.Request, query url.Values, name string, t transport.Transport) ([]string, error) {
	if r.URL.Path == "/"+name {
		if _, converses := t.(transport.Conversation); converses && !query.Has("channel") {
			return nil, nil
		}
		return queryChannels(query)
	}
	channel, err := pathChannel(r, "/"+name+"/")
	if err == nil && query.Has("channel") {
		err = badRequest("two_ways", "Name the channels in the path or in the query, not in both.")
	}
	return []string{channel}, err
}
