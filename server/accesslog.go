package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/pregon/pregon/transport"
)

// An accessLine is what the access log is to say of a request. It is said when the handler has returned and the sessions that
// it has begun have left: a client that listens may be connected for hours after the first.
type accessLine struct {
	began     time.Time
	transport string       // by which its client listens; empty for none
	open      atomic.Int32 // handler and sessions
	closed    atomic.Int32 // why the server has closed the connection, one more than the transport.CloseReason; 0 where it has not

	// Set when the handler has returned:
	log                    *slog.Logger
	request, method, route string
	status                 int
	bytes                  int64 // of the answer; 0 where that is not known
	address                netip.Addr
	subject, key           string
}

func newAccessLine() *accessLine {
	l := &accessLine{began: time.Now()}
	l.open.Store(1)
	return l
}

// logged returns what adds a line for each request, where Options.AccessLog has a logger for it. The routes are those that
// a line may name: the path of the request may be anything, a secret too.
func (s *Server) logged(routes []route) echo.MiddlewareFunc {
	if s.options.AccessLog == nil {
		return func(next echo.HandlerFunc) echo.HandlerFunc { return next }
	}
	named := map[string]string{}
	for _, r := range routes {
		named[r.path] = strings.Replace(r.path, "*", "{channel}", 1)
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc { // which Echo calls for each request
		return func(c echo.Context) error {
			if err := next(c); err != nil {
				c.Error(err) // here, as the line has the status
			}
			s.returned(c, named[c.Path()])
			return nil
		}
	}
}

// returned notes that the handler of a request has returned.
func (s *Server) returned(c echo.Context, route string) {
	r, w := c.Request(), c.Response()
	x := exchangeOf(r)
	identity := x.caller.Identity()
	l := x.line
	l.log, l.request, l.method, l.route = s.options.AccessLog, requestID(r), shownMethod(r.Method), route
	l.status, l.bytes = w.Status, w.Size
	if !w.Committed { // the transport has taken the connection over
		l.status = http.StatusOK
		if r.Header.Get("Upgrade") != "" {
			l.status = http.StatusSwitchingProtocols
		}
	}
	l.address, l.subject, l.key = s.addressOf(r), identity.Subject, identity.Key
	l.done()
}

// shownMethod returns a method as a log may have it.
func shownMethod(method string) string {
	if len(method) > 16 {
		return "(long)"
	}
	return method
}

// done says the line when it is called for the last time.
func (l *accessLine) done() {
	if l.open.Add(-1) > 0 {
		return
	}
	ctx := context.Background()
	if to := l.log.Handler(); to.Enabled(ctx, slog.LevelInfo) {
		_ = to.Handle(ctx, l.record()) // as a Logger does, but that it would look for the line of code that says it
	}
}

// record returns the line.
func (l *accessLine) record() slog.Record {
	now := time.Now()
	r := slog.NewRecord(now, slog.LevelInfo, "server: access", 0)
	r.AddAttrs(slog.String("request", l.request), slog.String("method", l.method), slog.String("route", l.route),
		slog.Int("status", l.status), slog.Duration("duration", now.Sub(l.began).Round(time.Microsecond)))
	var more [6]slog.Attr
	said := more[:0]
	if l.bytes > 0 {
		said = append(said, slog.Int64("bytes", l.bytes))
	}
	if l.address.IsValid() {
		said = append(said, slog.String("address", l.address.String()))
	}
	closed := ""
	if reason := l.closed.Load(); reason > 0 {
		closed = closeWords[transport.CloseReason(reason-1)]
	}
	for _, a := range [...]slog.Attr{slog.String("subject", l.subject), slog.String("key", l.key), slog.String("transport", l.transport), slog.String("closed", closed)} {
		if a.Value.String() != "" {
			said = append(said, a)
		}
	}
	r.AddAttrs(said...)
	return r
}

// closeWords are the reasons for which the server has closed a connection.
var closeWords = map[transport.CloseReason]string{
	transport.CloseShutdown: "shutdown", transport.CloseGap: "gap", transport.CloseSlow: "slow", transport.CloseIdle: "idle",
	transport.CloseUnrecovered: "unrecovered", transport.CloseDenied: "denied", transport.CloseExpired: "expired",
	transport.CloseForbidden: "forbidden", transport.CloseLimit: "limit",
}

// listening returns the client that a transport of that name gets for r.
func (s *Server) listening(r *http.Request, client transport.Client, name string) transport.Client {
	client = s.accepted.listening(r, client)
	l := exchangeOf(r).line
	if l == nil {
		return client
	}
	l.transport = name
	return loggedClient{client, l}
}

// A loggedClient is the client of a request in the access log.
type loggedClient struct {
	transport.Client
	line *accessLine
}

// Join implements transport.Client.
func (c loggedClient) Join(ctx context.Context, s transport.Subscriber) (transport.Session, error) {
	noted := notedControl{s.Control, c.line}
	if ender, ends := s.Control.(transport.Ender); ends {
		s.Control = notedEnder{noted, ender}
	} else if s.Control != nil {
		s.Control = noted
	}
	session, err := c.Client.Join(ctx, s)
	if err != nil {
		return nil, err
	}
	c.line.open.Add(1)
	return loggedSession{session, sync.OnceFunc(c.line.done)}, nil
}

// A loggedSession is the session of a loggedClient.
type loggedSession struct {
	transport.Session
	left func()
}

// Leave implements transport.Session.
func (s loggedSession) Leave() {
	s.Session.Leave()
	s.left()
}

// A notedControl is a Control that notes why its client is closed.
type notedControl struct {
	transport.Control
	line *accessLine
}

// Close implements transport.Control.
func (c notedControl) Close(reason transport.CloseReason) []byte {
	c.line.closed.Store(int32(reason) + 1)
	return c.Control.Close(reason)
}

// A notedEnder is likewise a transport.Ender.
type notedEnder struct {
	notedControl
	ender transport.Ender
}

// End implements transport.Ender.
func (e notedEnder) End(channel string, reason transport.CloseReason) []byte {
	return e.ender.End(channel, reason)
}
