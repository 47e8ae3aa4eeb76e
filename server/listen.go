package server

import (
	"net/http"

	"github.com/pregon/pregon/transport"
)

// listen returns the handler that connects clients of one transport.
func (s *Server) listen(name string, t transport.Transport) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if s.draining.Load() {
			return draining()
		}
		if s.hub.Sessions() >= s.options.MaxConnections {
			return &transport.Problem{Status: http.StatusServiceUnavailable, Code: "too_many_connections", RetryAfter: 5,
				Detail: "This server has as many listeners as it takes."}
		}
		channels, format, err := listenTo(r, name, t)
		if err != nil {
			return err
		}
		return t.Serve(w, r, channels, format)
	}
}

// listenTo returns what the client asks to hear: /name/{channel} or
// /name?channel=a&channel=b, with ?format= in both.
func listenTo(r *http.Request, name string, t transport.Transport) ([]string, transport.Format, error) {
	query, err := parseQuery(r)
	if err != nil {
		return nil, nil, err
	}
	wanted := query["format"]
	if len(wanted) == 0 {
		wanted = []string{t.DefaultFormat()}
	}
	format, ok := transport.FormatByName(wanted[0])
	if !ok || len(wanted) > 1 {
		return nil, nil, bad("bad_format", "The format is one of text, raw and json.")
	}
	if r.URL.Path == "/"+name {
		channels, err := queryChannels(query)
		return channels, format, err
	}
	channel, err := pathChannel(r, "/"+name+"/")
	if err == nil && query.Has("channel") {
		err = bad("two_ways", "Name the channels in the path or in the query, not in both.")
	}
	return []string{channel}, format, err
}
