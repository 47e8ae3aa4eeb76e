package server

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
)

// The ways by which a request may bring a credential, beside the header Authorization (RFC
// 6750, section 2.1). Pages cannot set a header for a WebSocket or an EventSource.
const (
	bearerProtocol = "pregon.bearer." // in Sec-WebSocket-Protocol, ahead of the credential in base64url
	ownProtocol    = "pregon.v1"      // has to be offered beside it, as that is what is answered
	tokenParameter = "token"          // of the query
)

// A credential is what a request has brought.
type credential struct {
	text     string
	inHeader bool // in Authorization, where keys count
	isCookie bool
}

// errBadCredential means that something was given in a form that no credential has.
var errBadCredential = errors.New("server: a credential that is not in the form of one")

// takeCredential returns the credential of r, nil where there is none, and r without any. A
// cookie of that name counts where the others are not and cookieCounts. An error is a
// problem with the form of r, or matches errBadCredential: then r is without it, too. What the
// server answers by itself needs a copy of r only where the credential would be in the way: unless
// it is to be bare, a credential in Authorization stays there.
func takeCredential(r *http.Request, cookie string, cookieCounts, bare bool) (*credential, *http.Request, error) {
	query, tokens, err := cutParameter(r.URL.RawQuery, tokenParameter)
	if err != nil {
		return nil, r, err
	}
	protocols, bearers := cutBearers(r.Header["Sec-Websocket-Protocol"])
	authorizations := r.Header.Values("Authorization")
	cookies := r.CookiesNamed(cookie)
	given := len(tokens) + len(bearers) + len(authorizations)
	if given == 0 && (cookie == "" || len(r.Header["Cookie"]) == 0) { // one that is garbled is not among cookies
		return nil, withoutReferer(r), nil
	}
	clean := r
	if bare || given > len(authorizations) || len(cookies) > 0 {
		clean = without(r, query, protocols, cookie)
	}
	switch {
	case given > 1:
		return nil, clean, badRequest("two_credentials", "Give one credential, once: in Authorization, as a subprotocol or as ?token=.")
	case len(bearers) > 0 && !slices.Contains(protocols, ownProtocol):
		return nil, clean, badRequest("bad_handshake", "Offer the subprotocol "+ownProtocol+" beside the one with the credential: it is the answer.")
	}
	c, err := oneCredential(authorizations, bearers, tokens)
	if c == nil && err == nil && cookieCounts && len(cookies) == 1 { // of two, one may be another site's
		c = &credential{text: cookies[0].Value, isCookie: true}
	}
	if c != nil && clean != r {
		sweep(clean.Header, c.text)
	}
	return c, clean, err
}

// oneCredential returns the credential of at most one way.
func oneCredential(authorizations, bearers, tokens []string) (*credential, error) {
	switch {
	case len(authorizations) > 0:
		scheme, text, _ := strings.Cut(textproto.TrimString(authorizations[0]), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return nil, errBadCredential
		}
		return &credential{text: strings.TrimLeft(text, " "), inHeader: true}, nil
	case len(bearers) > 0:
		text, err := base64.RawURLEncoding.Strict().DecodeString(bearers[0])
		if err != nil {
			return nil, errBadCredential
		}
		return &credential{text: string(text)}, nil
	case len(tokens) > 0:
		return &credential{text: tokens[0]}, nil
	}
	return nil, nil
}

// cutParameter returns a query without the parameters of a name, as it came otherwise, and
// their values. The error is that of parseQuery.
func cutParameter(raw, name string) (rest string, values []string, err error) {
	if raw == "" {
		return "", nil, nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return raw, nil, badQuery()
	}
	if values = query[name]; len(values) == 0 {
		return raw, nil, nil
	}
	var kept []string
	for pair := range strings.SplitSeq(raw, "&") {
		key, _, _ := strings.Cut(pair, "=")
		if key, _ = url.QueryUnescape(key); key != name {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&"), values, nil
}

// cutBearers returns the subprotocols of a handshake, and apart from them the credentials
// among them.
func cutBearers(lists []string) (protocols, bearers []string) {
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			name = textproto.TrimString(name)
			if len(name) >= len(bearerProtocol) && strings.EqualFold(name[:len(bearerProtocol)], bearerProtocol) {
				bearers = append(bearers, name[len(bearerProtocol):])
			} else {
				protocols = append(protocols, name)
			}
		}
	}
	return protocols, bearers
}
