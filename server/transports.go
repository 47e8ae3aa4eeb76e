package server

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
)

// makersOf returns what makes the transports of o: those that are registered and those of
// o.Transports. It refuses a name that is no route, is taken by a registered transport, or
// by a route of the server's own.
func (s *Server) makersOf(o Options) (map[string]transport.Maker, error) {
	makers := transport.Registered()
	for name, own := range o.Transports {
		_, registered := makers[name]
		switch {
		case own == nil && !registered:
			return nil, fmt.Errorf("%w: the transport %q is to be left out and is not there", ErrOptions, name)
		case own == nil:
			delete(makers, name)
			continue
		case registered:
			return nil, fmt.Errorf("%w: the transport %q has the name of a registered one", ErrOptions, name)
		}
		if err := transport.CheckName(name); err != nil {
			return nil, fmt.Errorf("%w: the transport %q: %w", ErrOptions, name, err)
		}
		makers[name] = own
	}
	for name := range o.Settings {
		if makers[name] == nil {
			return nil, fmt.Errorf("%w: there are settings for the transport %q, which is not there", ErrOptions, name)
		}
	}
	for _, r := range s.ownRoutes() {
		name, _, _ := strings.Cut(strings.TrimPrefix(r.path, "/"), "/")
		if makers[name] != nil {
			return nil, fmt.Errorf("%w: the transport %q has the name of a route of the server's own", ErrOptions, name)
		}
	}
	return makers, nil
}

// makeTransports makes the transports of o, each with its own settings.
func (s *Server) makeTransports(o Options) (map[string]transport.Transport, error) {
	makers, err := s.makersOf(o)
	if err != nil {
		return nil, err
	}
	made := make(map[string]transport.Transport, len(makers))
	for name, maker := range makers {
		settings := transport.NewSettings(o.Settings[name])
		t, err := maker(transport.Deps{
			Sockets: s.sockets, Logger: s.log, MaxInbound: maxInbound, Compress: o.Compress, Settings: settings,
			MaxMessage: o.MaxMessage, MaxChannels: o.Limits.Channels, KeepsHistory: node.KeepsHistory(o.Broker), PingInterval: o.PingInterval,
			Problem: s.spoken(s.problemOf), PublishProblem: s.spoken(s.publishProblem),
		})
		if err == nil {
			err = settings.Check()
		}
		if err == nil && t == nil {
			err = errors.New("its function has made none")
		}
		if err != nil {
			return nil, fmt.Errorf("%w: the transport %q: %w", ErrOptions, name, err)
		}
		made[name] = t
	}
	return made, nil
}

// routesOf returns the routes of a transport: those at which clients listen, and its own,
// which go first.
func (s *Server) routesOf(name string, t transport.Transport) ([]route, error) {
	listen := s.retrying(t, whereRoom(s.listen(name, t)))
	if c, converses := t.(transport.Conversation); converses {
		listen = s.retrying(t, whereRoom(s.converse(name, c)))
	}
	routes := []route{
		{"/" + name, http.MethodGet, listen, true, true},
		{"/" + name + "/*", http.MethodGet, listen, true, true},
	}
	if p, takes := t.(transport.Poster); takes {
		routes = append(routes, route{"/" + name, http.MethodPost, whereRoom(s.listenByBody(name, p)), true, true})
	}
	router, ok := t.(transport.Router)
	if !ok {
		return routes, nil
	}
	var own []route
	for _, r := range router.Routes() {
		added := route{"/" + name + r.Path, r.Method, s.serveRoute(name, t, r), true, true}
		if !validRoute(r) || slices.ContainsFunc(own, added.same) {
			return nil, fmt.Errorf("%w: the transport %q has the route %q %q, which is not valid or is there twice", ErrOptions, name, r.Method, r.Path)
		}
		own = append(own, added)
	}
	for _, r := range routes {
		if !slices.ContainsFunc(own, r.same) {
			own = append(own, r)
		}
	}
	return own, nil
}

// validRoute reports whether a transport may have r.
func validRoute(r transport.Route) bool {
	if r.Serve == nil || r.Method == "" || r.Method == http.MethodOptions || strings.Trim(r.Method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" {
		return false
	}
	if r.Path == "" {
		return true
	}
	path, slashed := strings.CutPrefix(strings.TrimSuffix(r.Path, "/*"), "/")
	return slashed && path != "" && !strings.ContainsAny(path, ":*?#%\\ ") && !slices.Contains(strings.Split(path, "/"), "") || r.Path == "/*"
}

// serveRoute returns the handler of a transport's own route.
func (s *Server) serveRoute(name string, t transport.Transport, r transport.Route) handler {
	next := s.bodies.bounded(func(w http.ResponseWriter, req *http.Request) error {
		client, err := s.clientOf(req)
		if err != nil {
			return err
		}
		if r.Listens {
			if err := s.admitListener(client); err != nil {
				return err
			}
		}
		req.Body = http.MaxBytesReader(w, req.Body, s.longestBatch())
		err = r.Serve(w, req, s.listening(req, client.Over(name), name))
		if p := bodyProblem(w, err); p != nil {
			return p
		}
		return err
	})
	if r.Listens {
		return s.retrying(t, whereRoom(next))
	}
	return whereRoom(next)
}

// longestBatch returns how many bytes the body of one request may have.
func (s *Server) longestBatch() int64 { return batchBodies * s.options.MaxMessage }
