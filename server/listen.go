package server

import (
	"net/http"
	"net/url"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// listen returns the handler that connects clients of one transport.
func (s *Server) listen(name string, t transport.Transport) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if s.draining.Load() {
			return draining()
		}
		if s.full() {
			return tooManyConnections()
		}
		wanted, err := s.wantedOf(r, name, t)
		if err != nil {
			return err
		}
		return t.Serve(w, r, wanted)
	}
}

// full reports whether no more clients may listen or wait.
func (s *Server) full() bool {
	return s.hub.Sessions()+int(s.polls.Load()) >= s.options.MaxConnections
}

func tooManyConnections() *transport.Problem {
	return &transport.Problem{Status: http.StatusServiceUnavailable, Code: "too_many_connections", RetryAfter: 5,
		Detail: "This server has as many listeners as it takes.", Header: http.Header{"Connection": {"close"}}}
}

// wantedOf returns what the client asks to hear: /name/{channel} or
// /name?channel=a&channel=b, with ?format= and where to begin in both.
func (s *Server) wantedOf(r *http.Request, name string, t transport.Transport) (transport.Wanted, error) {
	var wanted transport.Wanted
	query, err := parseQuery(r)
	if err != nil {
		return wanted, err
	}
	if wanted.Format, err = queryFormat(query, t.DefaultFormat()); err != nil {
		return wanted, err
	}
	if wanted.Channels, err = listenChannels(r, query, name); err != nil {
		return wanted, err
	}
	if resumer, ok := t.(transport.Resumer); ok {
		if id, said := resumer.LastID(r); said {
			wanted.Starts = resume(wanted.Channels, id)
			return wanted, nil
		}
	}
	_, keeps := broker.HistoryOf(s.options.Broker)
	wanted.Starts, err = queryStarts(query, wanted.Channels, keeps)
	return wanted, err
}

func queryFormat(query url.Values, byDefault string) (transport.Format, error) {
	named := query["format"]
	if len(named) == 0 {
		named = []string{byDefault}
	}
	format, ok := transport.FormatByName(named[0])
	if !ok || len(named) > 1 {
		return nil, bad("bad_format", "The format is one of text, raw and json.")
	}
	return format, nil
}

func listenChannels(r *http.Request, query url.Values, name string) ([]string, error) {
	if r.URL.Path == "/"+name {
		return queryChannels(query)
	}
	channel, err := pathChannel(r, "/"+name+"/")
	if err == nil && query.Has("channel") {
		err = bad("two_ways", "Name the channels in the path or in the query, not in both.")
	}
	return []string{channel}, err
}
