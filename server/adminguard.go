package server

import (
	"net"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/pregon/pregon/transport"
)

// adminKey has in the context of ServeAdmin's requests whether its listener is on a loopback address.
type adminKey struct{}

// adminEntrance is what every request to Admin passes first.
func (s *Server) adminEntrance(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer caught(&err)
		_, r := s.arrive(c)
		if p := noRoom(r); p != nil {
			return p
		}
		if err := s.checkOperator(r); err != nil {
			return err
		}
		return next(c)
	}
}

// checkOperator refuses whatever is not an operator's: what a page makes the operator's browser ask for, by this server's
// name or by one that resolves to it (DNS rebinding); and, without a key that may administer, what others than programs of this
// machine ask for.
func (s *Server) checkOperator(r *http.Request) error {
	local := isAdminLocal(r)
	switch {
	case len(r.Header["Origin"]) > 0, isOtherSite(r.Header):
		return s.refuse(r, &transport.Problem{Status: http.StatusForbidden, Code: "origin_not_allowed",
			Detail: "Pages may not administer the server."}, "a page asks to administer: "+shownOrigin(r.Header.Get("Origin")))
	case !exchangeOf(r).hosts.has(r.Host):
		return s.refuse(r, hostRefused(), "an admin request for the host "+shownHost(r.Host)+", which is not this server's: see --host")
	case local && isForwarded(r.Header):
		return s.refuse(r, &transport.Problem{Status: http.StatusForbidden, Code: "open_behind_proxy",
			Detail: "This address is for programs of the server's own machine, and a proxy has passed the request on."}, "a proxy has passed an admin request on")
	case local, isProbe(r.URL.Path):
		return nil
	}
	return s.checkAdminKey(r)
}

// isOtherSite reports whether a browser says that a page of another site has made it ask, as it does
// though it sends no Origin (Fetch Metadata).
func isOtherSite(h http.Header) bool {
	for _, site := range h["Sec-Fetch-Site"] {
		if site != "none" && site != "same-origin" {
			return true
		}
	}
	return false
}

// isAdminLocal reports whether r came to a loopback address. Where ServeAdmin listens on others, too, each needs a key.
func isAdminLocal(r *http.Request) bool {
	if local, known := r.Context().Value(adminKey{}).(bool); known {
		return local
	}
	a, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}

// checkAdminKey lets in keys that may administer.
func (s *Server) checkAdminKey(r *http.Request) error {
	const detail = "Administering needs a key with admin: true."
	x := exchangeOf(r)
	if _, err := s.identify(x, r, false); err != nil {
		return err
	}
	switch identity := x.caller.Identity(); {
	case x.denied != nil:
		return x.denied
	case identity.Kind == transport.Backend && identity.Admin:
		return nil
	case identity.Kind == transport.Stranger:
		return s.refuse(r, unauthorized(detail, false), "administering needs a key")
	}
	return s.refuse(r, &transport.Problem{Status: http.StatusForbidden, Code: "forbidden", Detail: detail}, "administering needs a key with admin: true")
}
