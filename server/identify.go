package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
)

// Answers come in this order: what is wrong with the form of a request, 401, 403, and then all
// else. So a credential is looked at first, ahead of a body that a stranger could make long,
// and what there is to say of it waits in the exchange until a handler asks for its client.

// identified returns next for requests whose caller was looked for. If it is to be bare, it gets
// them without credentials.
func (s *Server) identified(bare bool, next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		x := exchangeOf(r)
		clean, err := s.identify(x, r, bare)
		if err != nil {
			return err
		}
		err = next(w, clean)
		if p := saidProblem(err); p != nil && p.Status == http.StatusForbidden && errors.Is(x.denied, access.ErrUnauthorized) {
			return x.denied
		}
		return err
	}
}

// identify finds out who made r, and returns what next is to get of r. An error is a problem with
// the form of r.
func (s *Server) identify(x *exchange, r *http.Request, bare bool) (*http.Request, error) {
	if s.options.Authenticate != nil {
		asked := r
		if !x.takesCookie(r) {
			asked = withoutCookies(r)
		}
		x.caller, x.denied = s.askProgram(asked)
		return withoutAny(r), nil
	}
	c, clean, err := takeCredential(r, x.cookie, x.takesCookie(r), bare)
	switch {
	case errors.Is(err, errBadCredential):
		x.denied = fmt.Errorf("%w: %w", access.ErrUnauthorized, err)
	case err != nil:
		return nil, err
	case c != nil:
		if x.caller, x.denied = x.authenticate(r, c); x.caller.Identity().Kind == transport.Backend {
			noteKey(r)
		}
	}
	return clean, nil
}

// takesCookie reports whether a cookie counts that the user's browser has sent: it sends them with
// what pages of other sites make it ask for, too.
func (x *exchange) takesCookie(r *http.Request) bool {
	site := r.Header["Sec-Fetch-Site"]
	switch {
	case len(r.Header["Origin"]) > 0:
		return x.credentialed
	case r.Method != http.MethodGet:
		return false
	default:
		return len(site) == 0 || len(site) == 1 && site[0] == "same-origin"
	}
}

// authenticate returns whose credential it is, or why that cannot be told: then the error
// matches access.ErrUnauthorized, or is a *token.UnavailableError. A cookie that is not valid
// counts as none: its user may not know of it.
func (x *exchange) authenticate(r *http.Request, c *credential) (*access.Caller, error) {
	ctx := r.Context()
	if noRoom(r) != nil { // such connections are few: none is to wait for an issuer
		ended, cancel := context.WithCancel(ctx)
		cancel()
		ctx = ended
	}
	caller, err := x.access.Authenticate(ctx, c.text, c.inHeader)
	var away *token.UnavailableError
	switch {
	case err == nil:
		return caller, nil
	case errors.As(err, &away):
		return access.Stranger, err
	case c.isCookie:
		return access.Stranger, nil
	case errors.Is(err, access.ErrUnauthorized):
		return access.Stranger, err
	}
	return access.Stranger, fmt.Errorf("%w: %w", access.ErrUnauthorized, err)
}

// askProgram returns who the program says has made r.
func (s *Server) askProgram(r *http.Request) (caller *access.Caller, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.logOf(r).Error("server: Options.Authenticate has panicked", "panic", shownPanic(p), "stack", string(debug.Stack()))
			caller, err = access.Stranger, errNotAccepted
		}
	}()
	identity, err := s.options.Authenticate(r)
	switch {
	case err == nil:
		return access.NewCaller(identity), nil
	case saidProblem(err) != nil:
		return access.Stranger, err
	}
	return access.Stranger, errNotAccepted // what the program says of it may quote it
}

// authenticateToken returns whose token it is that a client brings while it is connected.
func (s *Server) authenticateToken(ctx context.Context, token string) (*access.Caller, error) {
	if s.options.Authenticate == nil {
		return s.settings.Load().access.Authenticate(ctx, token, false)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return s.askProgram(s.begin(r))
}

var errNotAccepted = fmt.Errorf("%w: the program that embeds the server does not accept it", access.ErrUnauthorized)

// clientOf returns what the caller that made r may do, or why that cannot be told.
func (s *Server) clientOf(r *http.Request) (*node.Client, error) {
	x := exchangeOf(r)
	if x.denied != nil {
		return nil, x.denied
	}
	return s.node.Client(x.caller, s.addressOf(r)), nil
}

// permitted is clientOf for a caller that wants to do something with channels, and may.
func (s *Server) permitted(r *http.Request, a access.Action, channels ...string) (*node.Client, error) {
	client, err := s.clientOf(r)
	if err != nil {
		return nil, err
	}
	if err := client.Check(a, channels...); err != nil {
		return nil, err
	}
	return client, nil
}
