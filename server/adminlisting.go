package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
)

// maxListed is how many channels or clients a page has at most, and by default.
const maxListed = 500

// lookTime is how long the workers may take to look for clients.
const lookTime = 5 * time.Second

// A listedChannel is a channel as operators see it.
type listedChannel struct {
	Channel     string  `json:"channel"`
	Subscribers int     `json:"subscribers"`       // on this node
	Rate        float64 `json:"rate"`              // messages per second, about
	Members     *int    `json:"members,omitempty"` // on all nodes, where there is presence
}

// listChannels answers GET /channels.
func (s *Server) listChannels(w http.ResponseWriter, r *http.Request) error {
	query, limit, err := listQuery(r, "after", "limit", "sort")
	if err != nil {
		return err
	}
	order, known := map[string]node.Order{"": node.ByName, "name": node.ByName, "subscribers": node.BySubscribers, "rate": node.ByRate}[query.Get("sort")]
	if !known || order != node.ByName && query.Has("after") {
		return badRequest("bad_query", "Give sort as name, subscribers or rate; after goes with name only.")
	}
	page, more := s.node.Channels(order, query.Get("after"), limit)
	answer := struct {
		Channels []listedChannel `json:"channels"`
		Next     string          `json:"next,omitempty"`
	}{Channels: make([]listedChannel, len(page))}
	for i, c := range page {
		answer.Channels[i] = listedChannel{Channel: c.Name, Subscribers: c.Subscribers, Rate: rounded(c.Rate)}
		if c.Members >= 0 {
			answer.Channels[i].Members = &page[i].Members
		}
	}
	if more && order == node.ByName {
		answer.Next = page[len(page)-1].Name
	}
	return answerJSON(w, http.StatusOK, answer)
}

// A listedClient is a client as operators see it.
type listedClient struct {
	Session   string  `json:"session"`
	Transport string  `json:"transport"`
	Address   string  `json:"address,omitempty"`
	Age       float64 `json:"age"`         // seconds
	Queued    int     `json:"queue_bytes"` // that wait for it
	Channels  int     `json:"channels"`    // that it has
	Subject   string  `json:"subject,omitempty"`
	Key       string  `json:"key,omitempty"` // its name
	Channel   string  `json:"channel,omitempty"`
	Rule      string  `json:"rule,omitempty"` // that lets it hear that channel
}

// listClients answers GET /clients.
func (s *Server) listClients(w http.ResponseWriter, r *http.Request) error {
	query, limit, err := listQuery(r, "channel", "after", "limit")
	if err != nil {
		return err
	}
	after := uint64(0)
	if query.Has("after") {
		id, known := s.sessionID(query.Get("after"))
		if !known {
			return badRequest("bad_after", "Give after as the next of a page that this node has answered with.")
		}
		after = id
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookTime)
	defer cancel()
	page, more, err := s.node.Sessions(ctx, query.Get("channel"), after, limit)
	if err != nil {
		return s.notLooked(r, err)
	}
	answer := struct {
		Clients []listedClient `json:"clients"`
		Next    string         `json:"next,omitempty"`
	}{Clients: make([]listedClient, len(page))}
	for i, l := range page {
		answer.Clients[i] = s.listed(l)
	}
	if more {
		answer.Next = s.sessionName(page[len(page)-1].ID)
	}
	return answerJSON(w, http.StatusOK, answer)
}

// notLooked is the answer where the workers had no time, or the node ends.
func (s *Server) notLooked(r *http.Request, err error) error {
	s.logOf(r).Debug("server: clients were not listed", "error", err)
	return &transport.Problem{Status: http.StatusServiceUnavailable, Code: "busy", RetryAfter: 1, Detail: "The server has too much to deliver to look for clients; try again."}
}

func (s *Server) listed(l node.Listener) listedClient {
	c := listedClient{
		Session: s.sessionName(l.ID), Transport: l.Transport, Age: rounded(time.Since(l.Since).Seconds()), Queued: l.Queued, Channels: l.Channels,
		Subject: l.Identity.Subject, Key: l.Identity.Key, Channel: l.Channel, Rule: l.Why,
	}
	if l.Address.IsValid() {
		c.Address = l.Address.String()
	}
	return c
}

// sessionName is what operators call a session: another node, or another run of this one, has other names.
func (s *Server) sessionName(id uint64) string {
	return s.incarnation + "-" + strconv.FormatUint(id, 10)
}

// sessionID returns the session of a name, and whether it may be one of this node's.
func (s *Server) sessionID(name string) (uint64, bool) {
	digits, ours := strings.CutPrefix(name, s.incarnation+"-")
	id, err := strconv.ParseUint(digits, 10, 64)
	return id, ours && err == nil
}

// listQuery returns the query of r, which has known parameters only, each once, and how many are asked for.
func listQuery(r *http.Request, known ...string) (query url.Values, limit int, err error) {
	if query, err = parseQuery(r); err != nil {
		return nil, 0, err
	}
	if err := checkParameters(query, known); err != nil {
		return nil, 0, err
	}
	for name, values := range query {
		if len(values) != 1 {
			return nil, 0, badRequest("bad_query", "Give "+name+" once.")
		}
	}
	if !query.Has("limit") {
		return query, maxListed, nil
	}
	if limit, err = parseCount(query["limit"], maxListed); err != nil {
		return nil, 0, badRequest("bad_limit", "Give limit as a number from 1 to 500.")
	}
	return query, limit, nil
}

// rounded returns a number as it is shown.
func rounded(n float64) float64 { return float64(int64(n*1000)) / 1000 }

// answerJSON answers with v.
func answerJSON(w http.ResponseWriter, status int, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("server: encode an answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // an operator that has gone gets none
	return nil
}

// disconnect answers POST /clients/{session}/disconnect.
func (s *Server) disconnect(w http.ResponseWriter, r *http.Request) error {
	name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/clients/"), "/disconnect")
	gone := &transport.Problem{Status: http.StatusNotFound, Code: "not_found", Detail: "This node has no such session."}
	id, known := s.sessionID(name)
	if !known {
		return gone
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookTime)
	defer cancel()
	found, err := s.node.EndSession(ctx, id)
	switch {
	case err != nil:
		return s.notLooked(r, err)
	case !found:
		return gone
	}
	s.logOf(r).Info("server: an operator has disconnected a client", "session", name)
	return answerJSON(w, http.StatusOK, map[string]string{"session": name})
}

// orderDrain answers POST /drain: Serve then does what it does at its end.
func (s *Server) orderDrain(w http.ResponseWriter, r *http.Request) error {
	s.orderOnce.Do(func() {
		s.logOf(r).Info("server: an operator has it stop")
		close(s.ordered)
	})
	return answerJSON(w, http.StatusAccepted, map[string]int{"connections": s.hub.Sessions()})
}

// DrainOrdered is closed when an operator has asked for the end, by POST /drain of Admin. Serve heeds it; an embedder with an
// http.Server of its own is to Drain then.
func (s *Server) DrainOrdered() <-chan struct{} { return s.ordered }
