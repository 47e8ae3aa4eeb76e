package websocket

import (
	"encoding/base64"
	"net/http"
	"strings"

	gorilla "github.com/gorilla/websocket"

	"github.com/pregon/pregon/transport"
)

// readBuffer is what each connection keeps for reading, in bytes. Clients send
// little. gorilla takes no less than 256.
const readBuffer = 512

// subprotocol is what a browser offers that has its credential beside it (see package server), and
// then wants to see in the answer. It names no format.
const subprotocol = "pregon.v1"

// Upgraders answer handshakes that CheckHandshake has let pass.
var plainUpgrader, deflatingUpgrader = newUpgrader(false), newUpgrader(true)

// newUpgrader returns an Upgrader that negotiates compression or does not.
// Origins are the server's concern.
func newUpgrader(deflate bool) *gorilla.Upgrader {
	return &gorilla.Upgrader{
		WriteBufferPool:   noBuffers{}, // nothing is written through gorilla's buffer
		CheckOrigin:       func(*http.Request) bool { return true },
		Error:             func(http.ResponseWriter, *http.Request, int, error) {},
		EnableCompression: deflate,
		Subprotocols:      []string{subprotocol},
	}
}

type noBuffers struct{}

func (noBuffers) Get() any { return nil }
func (noBuffers) Put(any)  {}

// CheckHandshake returns what to answer a request that is no handshake, nil for one that is. It
// is stricter than gorilla, and answers as RFC 6455 section 4.4 and RFC 9110 section 7.8 say.
func CheckHandshake(r *http.Request) *transport.Problem {
	switch {
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return refuse("WebSocket needs HTTP/1.1.")
	case !hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket"):
		return refuse("This address speaks WebSocket: the request has no Upgrade: websocket.")
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return &transport.Problem{
			Status: http.StatusUpgradeRequired, Code: "bad_version",
			Detail: "Only version 13 of WebSocket is spoken here.",
			Header: http.Header{"Sec-Websocket-Version": {"13"}, "Upgrade": {"websocket"}, "Connection": {"Upgrade"}},
		}
	case !validKey(r.Header.Values("Sec-WebSocket-Key")):
		return refuse("Sec-WebSocket-Key is not one key of 16 bytes in base64.")
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		p := refuse("A WebSocket handshake has no body.")
		p.Header = http.Header{"Connection": {"close"}}
		return p
	}
	return nil
}

// answerHeader returns those of the headers set before that an answer of 101 has, too.
func answerHeader(set http.Header) http.Header {
	h := http.Header{}
	for _, name := range []string{"Vary", "Cache-Control", "Referrer-Policy"} {
		if values := set[name]; len(values) > 0 {
			h[name] = values
		}
	}
	return h
}

func refuse(detail string) *transport.Problem {
	return &transport.Problem{Status: http.StatusBadRequest, Code: "bad_handshake", Detail: detail}
}

func validKey(keys []string) bool {
	if len(keys) != 1 {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(keys[0])
	return err == nil && len(key) == 16
}

// hasToken reports whether a header's comma-separated lists have a token,
// whatever its case.
func hasToken(h http.Header, name, token string) bool {
	for _, list := range h.Values(name) {
		for item := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(item), token) {
				return true
			}
		}
	}
	return false
}
