package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server"
)

// raw sends bytes as they are and returns the first response, or nil where the
// connection was closed without one.
func (n *node) raw(request string) (*http.Response, string) {
	n.t.Helper()
	c, err := net.Dial("tcp", n.addr)
	if err != nil {
		n.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	go func() { _, _ = io.WriteString(c, n.authorized(request)) }()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil, ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	return resp, string(body)
}

// get makes a request out of a request line and headers.
func get(line string, headers ...string) string {
	return line + " HTTP/1.1\r\nHost: example.com\r\n" + strings.Join(append(headers, "\r\n"), "\r\n")
}

var handshake = []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}

func upgrade(path string, more ...string) string {
	return get("GET "+path, append(handshake[:len(handshake):len(handshake)], more...)...)
}

func post(path string, body string, more ...string) string {
	headers := append([]string{fmt.Sprintf("Content-Length: %d", len(body)), "Content-Type: text/plain"}, more...)
	return get("POST "+path, headers...) + body
}

func batchOf(path, contentType, body string) string {
	return strings.Replace(post(path, body), "text/plain", contentType, 1)
}

// A badInput is a request and the answer that it is owed.
type badInput struct {
	name, request string
	status        int    // 0: the connection is closed without an answer
	code          string // "" where net/http answers in its own words
}

var long = strings.Repeat("x", 256)

var badInputs = []badInput{
	{"publish without channel", post("/publish/", "m"), 404, "not_found"},
	{"publish nowhere", post("/publish", "m"), 415, "type_not_supported"},
	{"publish nowhere in the query", post("/publish?message=m", ""), 400, "no_channel"},
	{"publish to too many", post("/publish?message=m"+strings.Repeat("&channel=a", 101), ""), 400, "too_many_channels"},
	{"publish to many, one bad", post("/publish?channel=canary&channel=a%00", "m"), 400, "bad_channel"},
	{"publish to many, one reserved", post("/publish?channel=canary&channel=__x", "m"), 403, "channel_reserved"},
	{"publish to many, no message", post("/publish?channel=canary", ""), 400, "empty"},
	{"publish lines to many", batchOf("/publish?channel=canary", "application/x-ndjson", "{}"), 415, "type_not_supported"},
	{"channel too long", post("/publish/"+long, "m"), 400, "channel_too_long"},
	{"url too long", post("/publish/a?message="+strings.Repeat("x", 8200), ""), 414, "url_too_long"},
	{"channel with NUL", post("/publish/a%00b", "m"), 400, "bad_channel"},
	{"channel with CR LF", post("/publish/a%0d%0ab", "m"), 400, "bad_channel"},
	{"channel with C1", post("/publish/a%C2%85", "m"), 400, "bad_channel"},
	{"channel with U+2028", post("/publish/a%E2%80%A8", "m"), 400, "bad_channel"},
	{"channel with bidi override", post("/publish/a%E2%80%AEb", "m"), 400, "bad_channel"},
	{"channel not UTF-8", post("/publish/%ff%fe", "m"), 400, "bad_channel"},
	{"channel ..", post("/publish/..", "m"), 400, "bad_channel"},
	{"channel .", post("/publish/.", "m"), 400, "bad_channel"},
	{"channel escaped ..", post("/publish/%2e%2e", "m"), 400, "bad_channel"},
	{"channel a//b", post("/publish/a//b", "m"), 400, "bad_channel"},
	{"channel a/", post("/publish/a/", "m"), 400, "bad_channel"},
	{"reserved for Redis", post("/publish/__keyspace@0__:x", "m"), 403, "channel_reserved"},
	{"reserved for us", post("/publish/__pregon.heartbeat", "m"), 403, "channel_reserved"},
	{"bad escape", post("/publish/%zz", "m"), 400, ""},
	{"lone percent", post("/publish/%", "m"), 400, ""},
	{"empty body", post("/publish/c", ""), 400, "empty"},
	{"body over the limit", post("/publish/c", strings.Repeat("x", 1025)), 413, "too_large"},
	{"length over the limit, nothing sent", get("POST /publish/c", "Content-Length: 10000000000"), 413, "too_large"},
	{"chunked over the limit", get("POST /publish/c", "Transfer-Encoding: chunked") + strings.Repeat("100\r\n"+strings.Repeat("x", 256)+"\r\n", 10), 413, "too_large"},
	{"expect 100 over the limit", get("POST /publish/c", "Content-Length: 5000", "Expect: 100-continue"), 413, "too_large"},
	{"negative length", get("POST /publish/c", "Content-Length: -1"), 400, ""},
	{"two lengths", get("POST /publish/c", "Content-Length: 1", "Content-Length: 2"), 400, ""},
	{"length with plus", get("POST /publish/c", "Content-Length: +5"), 400, ""},
	{"length in hexadecimal", get("POST /publish/c", "Content-Length: 0x5"), 400, ""},
	{"header block too large", get("POST /publish/c", "X: "+strings.Repeat("x", 20<<10)), 431, ""},
	{"space before colon", get("POST /publish/c", "X : 1"), 400, ""},
	{"NUL in header", get("POST /publish/c", "X: \x00"), 400, ""},
	{"text not UTF-8", post("/publish/c", "\xff\xfe"), 400, "invalid_utf8"},
	{"query message not UTF-8", post("/publish/c?message=%ff", ""), 400, "invalid_utf8"},
	{"query with semicolon", post("/publish/c?message=a;b", ""), 400, "bad_query"},
	{"two messages in the query", post("/publish/c?message=a&message=b", ""), 400, "two_messages"},
	{"message in query and body", post("/publish/c?message=a", "b"), 400, "two_messages"},
	{"not JSON", strings.Replace(post("/publish/c", "{"), "text/plain", "application/json", 1), 400, "bad_json"},
	{"JSON too deep", strings.Replace(post("/publish/c", strings.Repeat("[", 1000)), "text/plain", "application/json", 1), 400, "bad_json"},
	{"JSON with half a character", strings.Replace(post("/publish/c", `"\ud800"`), "text/plain", "application/json", 1), 400, "invalid_utf8"},
	{"JSON not UTF-8", strings.Replace(post("/publish/c", "\"\xff\""), "text/plain", "application/json", 1), 400, "invalid_utf8"},
	{"form without message", strings.Replace(post("/publish/c", "a=b"), "text/plain", "application/x-www-form-urlencoded", 1), 400, "no_message"},
	{"form with bad escape", strings.Replace(post("/publish/c", "message=%zz"), "text/plain", "application/x-www-form-urlencoded", 1), 400, "bad_form"},
	{"unknown type", strings.Replace(post("/publish/c", "x"), "text/plain", "image/png", 1), 415, "type_not_supported"},
	{"unknown charset", strings.Replace(post("/publish/c", "x"), "text/plain", "text/plain; charset=latin1", 1), 415, "type_not_supported"},
	{"compressed", post("/publish/c", "x", "Content-Encoding: gzip"), 415, "encoding_not_supported"},
	{"GET publish", get("GET /publish/c"), 405, "method_not_allowed"},
	{"PUT publish", get("PUT /publish/c"), 405, "method_not_allowed"},
	{"GET batch", get("GET /publish"), 405, "method_not_allowed"},
	{"batch from a foreign page", post("/publish", "[]", "Origin: https://evil.example"), 403, "origin_not_allowed"},
	{"batch of a form", batchOf("/publish", "application/x-www-form-urlencoded", "a=b"), 415, "type_not_supported"},
	{"batch in latin1", batchOf("/publish", "application/json; charset=latin1", "[]"), 415, "type_not_supported"},
	{"batch compressed", get("POST /publish", "Content-Length: 2", "Content-Type: application/json", "Content-Encoding: gzip") + "[]", 415, "encoding_not_supported"},
	{"batch over the limit", get("POST /publish", "Content-Length: 16385", "Content-Type: application/json"), 413, "too_large"},
	{"publish from a foreign page", post("/publish/c", "x", "Origin: https://evil.example"), 403, "origin_not_allowed"},

	{"no upgrade", get("GET /ws/c"), 400, "bad_handshake"},
	{"no connection", get("GET /ws/c", handshake[1:]...), 400, "bad_handshake"},
	{"POST upgrade", strings.Replace(upgrade("/ws/c"), "GET", "POST", 1), 405, "method_not_allowed"},
	{"version 8", strings.Replace(upgrade("/ws/c"), ": 13", ": 8", 1), 426, "bad_version"},
	{"no version", strings.Replace(upgrade("/ws/c"), "Sec-WebSocket-Version: 13\r\n", "", 1), 426, "bad_version"},
	{"HTTP/1.0 upgrade", strings.Replace(upgrade("/ws/c"), "HTTP/1.1", "HTTP/1.0", 1), 400, "bad_handshake"},
	{"short key", strings.Replace(upgrade("/ws/c"), "dGhlIHNhbXBsZSBub25jZQ==", "YQ==", 1), 400, "bad_handshake"},
	{"two keys", upgrade("/ws/c", handshake[3]), 400, "bad_handshake"},
	{"foreign origin", upgrade("/ws/c", "Origin: http://evil.example"), 403, "origin_not_allowed"},
	{"null origin", upgrade("/ws/c", "Origin: null"), 403, "origin_not_allowed"},
	{"host.evil", upgrade("/ws/c", "Origin: http://example.com.evil"), 403, "origin_not_allowed"},
	{"hostevil", upgrade("/ws/c", "Origin: http://example.comevil"), 403, "origin_not_allowed"},
	{"other port", upgrade("/ws/c", "Origin: http://example.com:81"), 403, "origin_not_allowed"},
	{"trailing dot", upgrade("/ws/c", "Origin: http://example.com."), 403, "origin_not_allowed"},
	{"other scheme", upgrade("/ws/c", "Origin: file://example.com"), 403, "origin_not_allowed"},
	{"two origins", upgrade("/ws/c", "Origin: http://example.com", "Origin: http://example.com"), 403, "origin_not_allowed"},
	{"frame in the same segment", upgrade("/ws/c") + "\x81\x80\x00\x00\x00\x00", 0, ""},
	{"upgrade with a body", upgrade("/ws/c", "Content-Length: 5") + "hello", 400, "bad_handshake"},
	{"path /ws/", upgrade("/ws/"), 404, "not_found"},
	{"path //ws/a", upgrade("//ws/a"), 404, "not_found"},
	{"path /wsx", upgrade("/wsx"), 404, "not_found"},
	{"no channel at all", upgrade("/ws"), 400, "no_channel"},
	{"empty item", upgrade("/ws?channel=a&channel="), 400, "channel_empty"},
	{"too many channels", upgrade("/ws?" + strings.Repeat("channel=a&", 101)), 400, "too_many_channels"},
	{"channel in path and query", upgrade("/ws/a?channel=b"), 400, "two_ways"},
	{"unknown format", upgrade("/ws/a?format=xml"), 400, "bad_format"},
	{"reserved on subscribe", upgrade("/ws/__keyspace@0__:x"), 403, "channel_reserved"},
	{"reserved on subscribe by query", get("GET /sse?channel=__sentinel__:hello"), 403, "channel_reserved"},
	{"stream of a bad channel", get("GET /sse/a%00"), 400, "bad_channel"},
	{"POST stream", post("/sse/a", "x"), 405, "method_not_allowed"},
	{"PUT stream", get("PUT /sse"), 405, "method_not_allowed"},
	{"stream of text", post("/sse", "a"), 415, "type_not_supported"},
	{"stream of no JSON", batchOf("/sse", "application/json", "{"), 400, "bad_json"},
	{"stream of a command", batchOf("/sse", "application/json", `{"type":"subscribe","channel":"a"}`), 400, "bad_command"},
	{"stream of a body, one bad", batchOf("/sse", "application/json", wish("canary", "a\\u0000")), 400, "bad_channel"},
	{"stream of a body, one reserved", batchOf("/sse", "application/json", wish("canary", "__x")), 403, "channel_reserved"},
	{"stream of a body, one twice", batchOf("/sse", "application/json", wish("canary", "canary")), 409, "already_subscribed"},
	{"stream of a body over the limit", get("POST /sse", "Content-Length: 2000000", "Content-Type: application/json"), 413, "too_large"},
	{"stream of a compressed body", get("POST /sse", "Content-Length: 2", "Content-Type: application/json", "Content-Encoding: gzip") + "{}", 415, "encoding_not_supported"},
	{"stream of a body from a foreign page", post("/sse", wish("a"), "Origin: https://evil.example"), 403, "origin_not_allowed"},

	{"history where none is kept", upgrade("/ws/c?history=1"), 400, "no_history"},
	{"no number of history", upgrade("/ws/c?history=x"), 400, "bad_history"},
	{"garbled cursor where none is kept", upgrade("/ws/c?since=x"), 400, "bad_cursor"},
	{"read what is not kept", get("GET /history/c"), 404, "no_history"},
	{"key where none can be kept", post("/publish/c", "m", "Idempotency-Key: a"), 400, "no_history"},
	{"item with a key where none can be kept", batchOf("/publish", "application/json", `[{"channel":"c","data":1,"key":"a"}]`), 400, "no_history"},
}

// Each bad input gets its answer, as problem details, whoever asks and whatever the broker; and a client that
// listens meanwhile misses nothing.
func TestBadInputs(t *testing.T) {
	onEveryGround(t, "", func(t *testing.T, n *node, _ broker.Broker) { n.answersAll(t, badInputs) })
}

// answersAll fails the test unless each bad input gets its answer, and a canary hears what is published meanwhile.
func (n *node) answersAll(t *testing.T, inputs []badInput) {
	canary := n.ws("/ws/canary")
	for i, c := range inputs {
		t.Run(c.name, func(t *testing.T) {
			resp, body := n.raw(c.request)
			checkAnswer(t, c, resp, body)
			text := fmt.Sprint(i)
			n.publish("canary", text)
			if got := read(t, canary); got != "[canary] "+text {
				t.Errorf("canary heard %q", got)
			}
		})
	}
}

func checkAnswer(t *testing.T, c badInput, resp *http.Response, body string) {
	t.Helper()
	if resp == nil {
		if c.status != 0 {
			t.Errorf("closed without an answer, want %d", c.status)
		}
		return
	}
	if resp.StatusCode != c.status {
		t.Fatalf("%s %s, want %d", resp.Status, body, c.status)
	}
	if c.code == "" {
		return
	}
	var p struct {
		Title, Code, Detail string
		Status              int
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("not JSON: %q", body)
	}
	if resp.Header.Get("Content-Type") != "application/problem+json" || p.Code != c.code || p.Status != c.status || p.Detail == "" || p.Title == "" {
		t.Errorf("answer %s, want code %s", body, c.code)
	}
	switch c.status {
	case 405:
		if resp.Header.Get("Allow") == "" {
			t.Error("405 without Allow")
		}
	case 426:
		if resp.Header.Get("Sec-WebSocket-Version") != "13" {
			t.Error("426 without Sec-WebSocket-Version")
		}
	}
}

// Pages of the server's own origin, and of allowed ones, are let in: as far as
// the question which channel they want.
func TestGoodOrigins(t *testing.T) {
	n := start(t, server.Options{AllowOrigins: []string{"https://Other.example"}})
	for _, origin := range []string{
		"http://example.com", "https://example.com", "HTTP://EXAMPLE.COM", "http://example.com:80", "https://other.example:443",
	} {
		if resp, body := n.raw(get("GET /sse", "Origin: "+origin)); resp == nil || resp.StatusCode != 400 {
			t.Errorf("%s: %v %s", origin, resp, body)
		}
	}
}
