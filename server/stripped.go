package server

import (
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/pregon/pregon/server/access"
)

// Nobody behind the door gets to see a credential: Transports are handed the request without
// it.

// without returns a copy of r that has no credential: the query and the subprotocols are
// those given, and the cookie is left out.
func without(r *http.Request, query string, protocols []string, cookie string) *http.Request {
	clean, at := *r, *r.URL
	at.RawQuery = query
	clean.URL, clean.Header = &at, r.Header.Clone()
	if path, _, asked := strings.Cut(r.RequestURI, "?"); asked && query != r.URL.RawQuery {
		clean.RequestURI = path
		if query != "" {
			clean.RequestURI += "?" + query
		}
	}
	if r.Form != nil { // somebody has parsed it already
		clean.Form = cloneWithout(r.Form, tokenParameter)
	}
	clean.Header.Del("Authorization")
	if len(protocols) > 0 {
		clean.Header.Set("Sec-Websocket-Protocol", strings.Join(protocols, ", "))
	} else {
		clean.Header.Del("Sec-Websocket-Protocol")
	}
	removeCookie(clean.Header, cookie)
	cleanReferer(clean.Header)
	return &clean
}

// withoutCookies returns a copy of r without its cookies.
func withoutCookies(r *http.Request) *http.Request {
	clean := *r
	clean.Header = r.Header.Clone()
	clean.Header.Del("Cookie")
	return &clean
}

// withoutAny returns a copy of r without anything that the program's own Authenticate may
// have taken for a credential.
func withoutAny(r *http.Request) *http.Request {
	query, _, err := cutParameter(r.URL.RawQuery, tokenParameter)
	if err != nil {
		query = r.URL.RawQuery // which nobody takes
	}
	protocols, _ := cutBearers(r.Header["Sec-Websocket-Protocol"])
	clean := without(r, query, protocols, "")
	clean.Header.Del("Cookie")
	return clean
}

func cloneWithout(values url.Values, name string) url.Values {
	clone := url.Values{}
	for key, v := range values {
		if key != name {
			clone[key] = v
		}
	}
	return clone
}

// removeCookie takes the cookies of a name out of the headers Cookie, and leaves the others as
// they are.
func removeCookie(h http.Header, name string) {
	lines := h["Cookie"]
	if name == "" || len(lines) == 0 {
		return
	}
	var kept []string
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ";") {
			part = textproto.TrimString(part)
			if key, _, _ := strings.Cut(part, "="); part != "" && textproto.TrimString(key) != name {
				kept = append(kept, part)
			}
		}
	}
	if h.Del("Cookie"); len(kept) > 0 {
		h.Set("Cookie", strings.Join(kept, "; "))
	}
}

// withoutReferer returns r without a credential that the address of the page has.
func withoutReferer(r *http.Request) *http.Request {
	if !slices.ContainsFunc(r.Header["Referer"], func(page string) bool { return strings.Contains(page, "?") }) {
		return r
	}
	clean := *r
	clean.Header = r.Header.Clone()
	cleanReferer(clean.Header)
	return &clean
}

// cleanReferer takes a credential out of the header Referer, or all of it where it cannot be read.
func cleanReferer(h http.Header) {
	if len(h["Referer"]) > 1 { // no client sends two
		h.Del("Referer")
	}
	page, query, asked := strings.Cut(h.Get("Referer"), "?")
	if !asked {
		return
	}
	query, tokens, err := cutParameter(query, tokenParameter)
	switch {
	case err != nil:
		h.Del("Referer")
	case len(tokens) > 0:
		h.Set("Referer", strings.TrimSuffix(page+"?"+query, "?"))
	}
}

// sweep deletes the headers that have a credential in them: some proxies repeat the address in one
// of their own. What is shorter than any credential may stand anywhere by chance.
func sweep(h http.Header, secret string) {
	if len(secret) < access.MinKey {
		return
	}
	for name, values := range h {
		if slices.ContainsFunc(values, func(value string) bool { return quotes(value, secret) }) {
			delete(h, name)
		}
	}
}

// quotes reports whether a header's value has a secret in it.
func quotes(value, secret string) bool {
	return len(value) >= len(secret) && (strings.Contains(value, secret) || strings.Contains(value, url.QueryEscape(secret)))
}
