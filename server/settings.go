package server

import (
	"fmt"
	"strings"

	"github.com/pregon/pregon/server/access"
)

// Reloadable are the Options that may change while a Server runs.
type Reloadable struct {
	Access       *access.Policy // nil: everybody may do everything
	Cookie       string
	AllowOrigins []string
	Hosts        []string
	Limits       Limits // but for Channels, which stays as it was
}

// Reload puts r in the place of what counted until now: all of it or, where something in it
// makes no sense, none. Then the error matches ErrOptions. A request that is under way goes on
// with what it began with, but what it may do Access decides anew each time. Clients that listen
// and still may notice nothing; the others are disconnected within a second, for which Reload does not wait.
func (s *Server) Reload(r Reloadable) error {
	next, err := newSettings(r)
	if err != nil {
		return err
	}
	s.reloading.Lock()
	defer s.reloading.Unlock()
	s.settings.Store(next)
	s.node.SetPolicy(next.access)
	s.node.SetLimits(r.Limits.node())
	s.accepted.limitAddresses(r.Limits.ConnectionsPerAddress)
	return nil
}

// settings are a Reloadable that was checked. They are immutable: a request takes them once.
type settings struct {
	access  *access.Policy
	cookie  string
	origins origins
	hosts   hosts
}

func newSettings(r Reloadable) (*settings, error) {
	n := &settings{access: r.Access, cookie: r.Cookie}
	if n.access == nil {
		n.access = access.Open()
	}
	if err := r.Limits.check(); err != nil {
		return nil, err
	}
	if n.cookie != "" && !isToken(n.cookie) {
		return nil, fmt.Errorf("%w: the cookie's name has characters that no cookie's name can have", ErrOptions)
	}
	var err error
	if n.origins, err = parseOrigins(r.AllowOrigins); err != nil {
		return nil, err
	}
	if n.hosts, err = parseHosts(r.Hosts); err != nil {
		return nil, err
	}
	return n, nil
}

// hasStrangers reports whether a rule says that other programs publish in a channel.
func (s *Server) hasStrangers(channel string) bool {
	rule := s.settings.Load().access.Rule(channel)
	return rule != nil && rule.Strangers
}

// isToken reports whether text is a token of HTTP (RFC 9110, section 5.6.2), as the names of
// cookies are (RFC 6265, section 4.1.1).
func isToken(text string) bool {
	const marks = "!#$%&'*+-.^_`|~"
	return text != "" && strings.Trim(text, marks+"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
