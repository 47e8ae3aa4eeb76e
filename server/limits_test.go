package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
)

// refusedWith fails the test unless a raw request is refused with that status and code, and says
// when to come back.
func (n *node) refusedWith(request string, status int, code string) {
	n.t.Helper()
	resp, body := n.raw(request)
	if resp == nil || resp.StatusCode != status || !strings.Contains(body, `"`+code+`"`) || resp.Header.Get("Retry-After") == "" {
		n.t.Errorf("%v %s, want %d %s", resp, body, status, code)
	}
}

// open sends a request and returns its connection and the head of the answer.
func (n *node) open(request string) (net.Conn, *http.Response) {
	n.t.Helper()
	c, err := net.Dial("tcp", n.addr)
	if err != nil {
		n.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(c, request)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		n.t.Fatal(err)
	}
	return c, resp
}

// An address has as many connections as it may, whatever they are for, and one that ends makes
// room. An EventSource is told to come back, and a key is served all the same.
func TestConnectionsOfAnAddress(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{Access: rules(t, true, true), Limits: server.Limits{ConnectionsPerAddress: 3}})
	first := n.ws("/ws/news")
	n.ws("/ws/news")
	n.sse("/sse/news")
	n.refusedWith(upgrade("/ws/news"), http.StatusTooManyRequests, "too_many_connections")
	n.refusedWith(get("GET /history/news"), http.StatusTooManyRequests, "too_many_connections")
	if resp, body := n.raw(get("GET /sse/news")); resp == nil || resp.StatusCode != http.StatusOK || !strings.Contains(body, "retry: ") {
		t.Error(resp, body)
	}
	if resp, body := n.raw(get("POST /publish/news?message=x", "Authorization: Bearer "+appKey)); resp == nil || resp.StatusCode != http.StatusOK {
		t.Error("a key is not served", resp, body)
	}
	if resp, _ := n.raw(get("GET /healthz")); resp == nil || resp.StatusCode != http.StatusOK {
		t.Error("a probe is refused", resp)
	}
	if n.server.Stats().RefusedConnections == 0 {
		t.Error("nothing was counted")
	}
	_ = first.Close()
	for deadline := time.Now().Add(patience); ; {
		resp, _ := n.raw(upgrade("/ws/news"))
		if resp != nil && resp.StatusCode == http.StatusSwitchingProtocols {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("one that has gone still counts")
		}
	}
}

// Behind a proxy that is trusted it is its clients that are counted, by what the proxy says
// and not by what they say themselves. A proxy that is not trusted is believed nothing.
func TestConnectionsBehindAProxy(t *testing.T) {
	t.Parallel()
	local := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	n := start(t, server.Options{Access: rules(t, true, true), TrustProxies: local, Limits: server.Limits{ConnectionsPerAddress: 2}})
	listen := func(forwarded string) (status int) {
		t.Helper()
		c, resp := n.open(upgrade("/ws/news", "X-Forwarded-For: "+forwarded))
		t.Cleanup(func() { _ = c.Close() })
		return resp.StatusCode
	}
	for _, c := range []struct {
		forwarded string
		status    int
	}{
		{"198.51.100.1", 101}, {"203.0.113.1, 198.51.100.1", 101}, {"203.0.113.2, 198.51.100.1", 429}, {"198.51.100.2", 101},
		{"2001:db8::1", 101}, {"2001:db8::2:2", 101}, {"2001:db8::3", 429}, {"2001:db8:0:1::1", 101},
	} {
		if got := listen(c.forwarded); got != c.status {
			t.Errorf("%s: %d, want %d", c.forwarded, got, c.status)
		}
	}
	// A page learns by a plain request what its WebSocket cannot see.
	n.refusedWith(get("GET /ws/news", "X-Forwarded-For: 198.51.100.1"), http.StatusTooManyRequests, "too_many_connections")
}

// Who publishes too fast is told when to go on, and no header makes another caller of it; what
// is never possible is not worth a retry.
func TestPublishingTooFast(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{Access: rules(t, true, true), Limits: server.Limits{PublishRate: access.Rate{Events: 3, Per: time.Hour}}})
	for i := range 6 {
		request := get("POST /publish/wall?message=x", fmt.Sprintf("X-Forwarded-For: 198.51.100.%d", i), fmt.Sprintf("X-Real-IP: 198.51.100.%d", i))
		if i < 3 {
			if resp, body := n.raw(request); resp == nil || resp.StatusCode != http.StatusOK {
				t.Error(i, resp, body)
			}
			continue
		}
		n.refusedWith(request, http.StatusTooManyRequests, "too_fast")
	}
	for token, status := range map[string]int{anaToken: 200, appKey: 200} { // others than strangers from there
		if resp, body := n.raw(get("POST /publish/room.1?message=x", "Authorization: Bearer "+token)); resp == nil || resp.StatusCode != status {
			t.Error(resp, body)
		}
	}
	many := `[` + strings.Repeat(`{"channel":"room.1","data":""},`, 3) + `{"channel":"room.1","data":""}]`
	resp, body := n.raw(get("POST /publish", "Authorization: Bearer "+anaToken, "Content-Type: application/json", fmt.Sprint("Content-Length: ", len(many))) + many)
	if resp == nil || resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "" {
		t.Error(resp, body)
	}
	if got := n.server.Stats().RefusedPublications; got != 3+4 {
		t.Errorf("%d publications counted", got)
	}
}

// A connection has as many channels as it may.
func TestChannelsOfAConnection(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{Limits: server.Limits{Channels: 2}})
	n.ws("/ws?channel=a&channel=b")
	for _, path := range []string{"/ws", "/sse"} {
		if resp, body := n.raw(upgrade(path + "?channel=a&channel=b&channel=c")); resp == nil || resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "too_many_channels") {
			t.Error(path, resp, body)
		}
	}
}

// Limits that are reloaded count at once for those who come, and rules for those who are there.
func TestReloadOfLimits(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{Access: rules(t, true, true), Limits: server.Limits{ConnectionsPerAddress: 1}})
	stays := n.ws("/ws/news")
	n.refusedWith(upgrade("/ws/news"), http.StatusTooManyRequests, "too_many_connections")
	if err := n.server.Reload(server.Reloadable{Access: rules(t, true, true), Hosts: []string{"example.com"}}); err != nil {
		t.Fatal(err)
	}
	n.ws("/ws/news")
	if err := n.server.Reload(server.Reloadable{Limits: server.Limits{ConnectionsPerAddress: -1}}); err == nil {
		t.Error("a limit that makes no sense was taken")
	}
	if results := n.server.Publish(t.Context(), broker.Message{Channel: "news", Data: []byte("still there")}); results[0].Err != nil || read(t, stays) != "[news] still there" {
		t.Error(results)
	}
}

// Bodies of strangers leave room for those of keys, and one of a caller that may publish
// nowhere is not read beyond what is free.
func TestBodiesOfStrangers(t *testing.T) {
	t.Parallel()
	const most = 64 << 10
	n := start(t, server.Options{Access: rules(t, true, true), MaxMessage: most, MaxBodies: 1})
	long := strings.Repeat("x", most-1000)
	begin := func(path, credential string, length int) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, _ = io.WriteString(c, get("POST "+path, credential, "Content-Type: text/plain", fmt.Sprint("Content-Length: ", length)))
		return c
	}
	for i := 0; n.server.Stats().RefusedBodies == 0; i++ { // until strangers have all that is theirs
		if i > 1000 {
			t.Fatal("strangers take all there is")
		}
		c := begin("/publish/wall", "Accept: */*", len(long)+1)
		_, _ = io.WriteString(c, long)
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, _ = c.Read(make([]byte, 1))
	}
	request := get("POST /publish/wall", "Authorization: Bearer "+appKey, "Content-Type: text/plain", fmt.Sprint("Content-Length: ", len(long))) + long
	if resp, body := n.raw(request); resp == nil || resp.StatusCode != http.StatusOK {
		t.Error("a key found no room", resp, body)
	}

	keyed := start(t, server.Options{Access: onlyKeys(t), MaxMessage: 1 << 20})
	resp, body := keyed.raw(get("POST /publish", "Content-Type: application/json", "Content-Length: 10000000") + strings.Repeat(" ", 1<<20))
	if resp == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Error("a batch of a caller that may publish nowhere", resp, body)
	}
}

// onlyKeys lets anyone listen, and keys publish.
func onlyKeys(t *testing.T) *access.Policy {
	t.Helper()
	p, err := access.New(access.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A caller that is refused in any case cannot hold its connection by a body that does not come.
func TestBodiesThatAreRefusedAnyway(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{Access: onlyKeys(t)})
	for _, path := range []string{"/publish/a", "/publish"} {
		resp, body := n.raw(get("POST "+path, "Content-Type: application/json", "Content-Length: 10000") + "[")
		if resp == nil || resp.StatusCode != http.StatusUnauthorized {
			t.Error(path, resp, body)
		}
	}
}
