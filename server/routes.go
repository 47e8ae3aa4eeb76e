package server

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/console"
	"github.com/pregon/pregon/transport"
)

// maxURL is the longest request target in bytes.
const maxURL = 8 << 10

// A handler answers a request or returns why it did not. Where it returns an
// error it has written nothing.
type handler func(w http.ResponseWriter, r *http.Request) error

// A route is an address and what it takes there.
type route struct {
	path   string // as Echo has it
	method string
	handle handler
	pages  bool // pages of other origins may use it, as far as they are allowed
	bare   bool // a Transport gets its requests, which are therefore without credentials
}

// same reports whether r and other cannot both be there.
func (r route) same(other route) bool { return r.path == other.path && r.method == other.method }

// table is all that the server has.
func (s *Server) table() ([]route, error) {
	routes := s.ownRoutes()
	for name, t := range s.transports {
		of, err := s.routesOf(name, t)
		if err != nil {
			return nil, err
		}
		for _, r := range of {
			r.bare = true
			routes = append(routes, r)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.transports)) {
		if d, described := s.transports[name].(transport.Describer); described {
			return append(routes, route{"/asyncapi.json", http.MethodGet, describe(d), false, false}), nil
		}
	}
	return routes, nil
}

// methods returns what is taken at the addresses of a path: by its own routes, and by one
// for all that begins alike.
func methods(routes []route, path string) []string {
	var taken []string
	for _, r := range routes {
		begin, whole := strings.CutSuffix(r.path, "*")
		if (r.path == path || whole && strings.HasPrefix(path, begin)) && !slices.Contains(taken, r.method) {
			taken = append(taken, r.method)
		}
	}
	return taken
}

// ownRoutes are those that are no transport's.
func (s *Server) ownRoutes() []route {
	routes := []route{
		{"/healthz", http.MethodGet, s.healthz, false, false},
		{"/readyz", http.MethodGet, s.readyz, false, false},
		{"/publish", http.MethodPost, whereRoom(s.bodies.bounded(s.publishMany)), true, false},
		{"/publish/*", http.MethodPost, whereRoom(s.bodies.bounded(s.publish)), true, false},
		{"/history/*", http.MethodGet, whereRoom(s.history), true, false},
		{"/history/*", http.MethodDelete, whereRoom(s.clear), true, false},
		{"/pregon.js", http.MethodGet, whereRoom(clientModule.serve), false, false},
		{"/pregon.d.ts", http.MethodGet, whereRoom(clientTypes.serve), false, false},
		{"/presence/*", http.MethodGet, whereRoom(s.members), true, false},
	}
	if !s.options.NoMetrics {
		routes = append(routes, route{"/metrics", http.MethodGet, s.identified(false, whereRoom(s.metrics)), false, false})
	}
	if !s.options.NoConsole {
		routes = append(routes, consoleRoutes()...)
	}
	return routes
}

// consoleRoutes are those of the page, and of what it is made of.
func consoleRoutes() []route {
	serving := func(f *console.File) handler {
		return whereRoom(func(w http.ResponseWriter, r *http.Request) error { f.ServeHTTP(w, r); return nil })
	}
	routes := []route{{"/", http.MethodGet, serving(console.Page()), false, false}}
	for _, f := range console.Parts() {
		routes = append(routes, route{f.Path, http.MethodGet, serving(f), false, false})
	}
	return routes
}

// isProbe reports whether a path is one that balancers and supervisors ask.
func isProbe(path string) bool { return path == "/healthz" || path == "/readyz" }

// routes returns the server's http.Handler. It is a plain function: a handler gets at the
// http.Server that serves it, and from there at whatever the Handler shows.
func (s *Server) routes() (http.Handler, error) {
	table, err := s.table()
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.HTTPErrorHandler = s.answerError
	e.Use(s.logged(table), s.entrance)
	for _, r := range table {
		switch {
		case r.pages:
			e.Add(r.method, r.path, s.traced(r, adapt(s.checkOrigin(s.identified(r.bare, r.handle)))))
			e.OPTIONS(r.path, adapt(s.preflight(methods(table, r.path))))
		default:
			e.Add(r.method, r.path, adapt(r.handle))
			e.HEAD(r.path, adapt(r.handle))
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.ServeHTTP(w, rooted(r)) }), nil
}

// rooted returns r with a path where it has none, as below another program's prefix: the
// page at /rt is that at /rt/.
func rooted(r *http.Request) *http.Request {
	if r.URL.Path != "" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return r
	}
	rooted, at := *r, *r.URL
	at.Path, rooted.URL = "/", &at
	return &rooted
}

// adapt lets a handler of plain net/http serve a route of Echo's.
func adapt(h handler) echo.HandlerFunc {
	return func(c echo.Context) error { return h(c.Response(), c.Request()) }
}

// entrance is what every request passes first, one for an address that is not there
// too. It is one middleware: Echo puts each together anew for each request. A panic
// becomes an error, so that it ends one request only.
func (s *Server) entrance(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer caught(&err)
		w, r := s.arrive(c)
		s.closeDraining(w)
		defer s.accepted.enter(r)()
		if err := s.checkHost(r); err != nil {
			return err
		}
		if err := s.checkProxied(r); err != nil {
			return err
		}
		if len(r.RequestURI) > maxURL {
			return &transport.Problem{Status: http.StatusRequestURITooLong, Code: "url_too_long",
				Detail: "The request target is longer than 8 KiB."}
		}
		if err := takeIdleBody(w, r); err != nil {
			return err
		}
		return next(c)
	}
}

// arrive begins the exchange of a request, and sets what every answer has.
func (s *Server) arrive(c echo.Context) (http.ResponseWriter, *http.Request) {
	w, r := c.Response(), s.begin(c.Request())
	c.SetRequest(r)
	setCommonHeaders(w.Header())
	closeAmbiguous(w, r)
	closeSurplus(w, r)
	return w, r
}

// caught makes an error of a panic. It is to be deferred.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("server: panic: %s\n%s", shownPanic(p), debug.Stack())
	}
}

// What all answers have. The slices are shared by all of them, and nobody appends to one in
// place: each is full.
var (
	varyOrigin = []string{"Origin"}
	noStore    = []string{"no-store"}
	noReferrer = []string{"no-referrer"}
)

// setCommonHeaders sets what all answers have. No cache is to keep an answer that was for one
// caller, or for pages of one origin, and no address leads out of here with what is in it.
func setCommonHeaders(h http.Header) {
	if len(h["Vary"]) > 0 {
		h.Add("Vary", varyOrigin[0])
	} else {
		h["Vary"] = varyOrigin
	}
	h["Cache-Control"], h["Referrer-Policy"] = noStore, noReferrer
}

// closeAmbiguous has the connection closed after a request whose length was given
// by Transfer-Encoding. There may have been a Content-Length, too, which net/http
// has ignored without a trace: something in between that went by it takes what
// follows for a part of this request. So nothing that follows may be executed (RFC
// 9112, section 6.1).
func closeAmbiguous(w http.ResponseWriter, r *http.Request) {
	if len(r.TransferEncoding) > 0 {
		w.Header().Set("Connection", "close")
	}
}

// answerError answers with the problem that err is, or stands for, and the name by which the
// log has it.
func (s *Server) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p := *s.problemOf(c.Request(), err) // others may have it, too
	p.Request = requestID(c.Request())
	if !isProbe(c.Request().URL.Path) {
		s.problems.count(&p)
	}
	p.ServeHTTP(c.Response(), c.Request())
}

// problemOf returns the answer to r where err is the reason.
func (s *Server) problemOf(r *http.Request, err error) *transport.Problem {
	if p := saidProblem(err); p != nil {
		return p
	}
	if p := s.accessProblem(r, err); p != nil {
		return p
	}
	if p := limitProblem(err); p != nil {
		return p
	}
	if name := (*broker.ChannelError)(nil); errors.As(err, &name) {
		return nameProblem(name)
	}
	if p := s.brokerProblem(r, err); p != nil {
		return p
	}
	var he *echo.HTTPError
	switch {
	case errors.As(err, &he) && he.Code == http.StatusNotFound:
		return notFound()
	case errors.As(err, &he) && he.Code == http.StatusMethodNotAllowed:
		return &transport.Problem{Status: he.Code, Code: "method_not_allowed",
			Detail: "This address does not take this method."} // Echo has set Allow
	}
	s.logOf(r).Error("server: a request failed", "error", err)
	return &transport.Problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "Something went wrong here."}
}

// saidProblem returns the problem that err says to answer with, nil where there is none
// that can be: a Transport or a hook may be wrong.
func saidProblem(err error) *transport.Problem {
	var p *transport.Problem
	if errors.As(err, &p) && p != nil && p.Status >= http.StatusBadRequest && p.Status < 600 {
		return p
	}
	return nil
}

func notFound() *transport.Problem {
	return &transport.Problem{Status: http.StatusNotFound, Code: "not_found", Detail: "There is nothing at this address."}
}
