package waysin_test

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// A way is one into the server. CHANNEL stands for the channel in its target and body.
type way struct {
	name, method, target string
	header               []string
	body                 string
	action               access.Action

	figures bool // of the server, which are of no channel
	ruled   bool // only where a rule says so, even for keys
	opaque  bool // its protocol may refuse in its own way, where no status is seen
	stays   bool // who is let in stays
	plain   bool // a page asks so whether its handshake would be let in, which opens nothing
	polls   bool // it is not answered before there is news
	talks   bool // who is let in is told in the protocol's own words which channels it may have
	own     bool // a transport's own, which asks for itself what the caller may
}

// ways returns all of them: those of the registered transports, of own, and of the server.
func ways(t *testing.T, own map[string]transport.Maker) []way {
	t.Helper()
	makers := transport.Registered()
	for name, maker := range own {
		makers[name] = maker
	}
	var all []way
	for name, maker := range makers {
		made := makeOf(t, maker)
		_, talks := made.(transport.Conversation)
		all = append(all, listening(name, talks)...)
		all = append(all, routesOf(name, made)...)
		if _, takes := made.(transport.Poster); takes {
			all = append(all, way{name: name + " by body", method: "POST", target: "/" + name, header: []string{"Content-Type: application/json"},
				body: `{"channels":[{"channel":"CHANNEL"}]}`, stays: true})
		}
	}
	text := []string{"Content-Type: text/plain"}
	return append(all,
		way{name: "publish", method: "POST", target: "/publish/CHANNEL", header: text, body: "hola", action: access.Publish},
		way{name: "publish to many", method: "POST", target: "/publish?channel=CHANNEL", header: text, body: "hola", action: access.Publish},
		way{name: "publish a batch", method: "POST", target: "/publish", header: []string{"Content-Type: application/json"},
			body: `[{"channel":"CHANNEL","data":"hola"}]`, action: access.Publish},
		way{name: "history", method: "GET", target: "/history/CHANNEL"},
		way{name: "history, waiting", method: "GET", target: "/history/CHANNEL?wait=1ms"},
		way{name: "members", method: "GET", target: "/presence/CHANNEL", ruled: true},
		way{name: "clear", method: "DELETE", target: "/history/CHANNEL", action: access.Clear},
		way{name: "figures", method: "GET", target: "/metrics", figures: true},
	)
}

// listening returns the ways to listen by a transport: as a page asks whether it would be let in, and
// by a request that is a WebSocket's handshake and asks for an event stream, too, so that it opens
// whatever the protocol is.
func listening(name string, talks bool) []way {
	handshake := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Accept: text/event-stream"}
	return []way{
		{name: name + ", asked plainly", method: "GET", target: "/" + name + "/CHANNEL", plain: true},
		{name: name, method: "GET", target: "/" + name + "/CHANNEL", header: handshake, opaque: true, stays: true, talks: talks},
		{name: name + " of many", method: "GET", target: "/" + name + "?channel=CHANNEL", header: handshake, opaque: true, stays: true, talks: talks},
	}
}

// makeOf returns a transport as the server has it.
func makeOf(t *testing.T, maker transport.Maker) transport.Transport {
	t.Helper()
	made, err := maker(transport.Deps{
		Sockets: socket.NewGroup(socket.Limits{}), Logger: slog.New(slog.DiscardHandler), Settings: transport.NewSettings(nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// routesOf returns the ways that are a transport's own.
func routesOf(name string, made transport.Transport) []way {
	router, ok := made.(transport.Router)
	if !ok {
		return nil
	}
	var all []way
	for _, r := range router.Routes() {
		target := "/" + name + strings.Replace(r.Path, "*", "CHANNEL", 1)
		all = append(all, way{name: name + "'s own " + r.Method + " " + r.Path, method: r.Method, target: target, own: true})
	}
	return all
}

// An extra is what is added to a request.
type extra struct {
	query string
	lines []string // of the header
}

func (e extra) and(other extra) extra {
	query := strings.Trim(e.query+"&"+other.query, "&")
	return extra{query, append(e.lines[:len(e.lines):len(e.lines)], other.lines...)}
}

const host = "rt.example.com"

// request returns the request as it goes over the wire.
func (w way) request(channel string, e extra) string {
	target, body := strings.ReplaceAll(w.target, "CHANNEL", channel), strings.ReplaceAll(w.body, "CHANNEL", channel)
	if e.query != "" && strings.Contains(target, "?") {
		target += "&" + e.query
	} else if e.query != "" {
		target += "?" + e.query
	}
	lines := append([]string{w.method + " " + target + " HTTP/1.1", "Host: " + host}, w.header...)
	if body != "" {
		lines = append(lines, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	return strings.Join(append(lines, e.lines...), "\r\n") + "\r\n\r\n" + body
}

// A carrier is a way to bring a credential.
type carrier struct {
	name  string
	bring func(credential string) extra
}

// cookie is the name of the one that may have a token.
const cookie = "rt"

var (
	inHeader = carrier{"header", func(c string) extra { return extra{lines: []string{"Authorization: Bearer " + c}} }}
	inQuery  = carrier{"query", func(c string) extra { return extra{query: "token=" + url.QueryEscape(c)} }}
	inOffer  = carrier{"subprotocol", func(c string) extra {
		return extra{lines: []string{"Sec-WebSocket-Protocol: pregon.v1, pregon.bearer." + base64.RawURLEncoding.EncodeToString([]byte(c))}}
	}}
	inCookie = carrier{"cookie", func(c string) extra {
		return extra{lines: []string{"Cookie: " + cookie + "=" + c, "Origin: https://" + host}}
	}}
)

// explicit are the carriers of which one alone may be used.
var explicit = []carrier{inHeader, inQuery, inOffer}

var carriers = append(explicit[:len(explicit):len(explicit)], inCookie)
