package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/local"
)

// A clientPage is what GET /clients answers.
type clientPage struct {
	Clients []struct {
		Session, Transport, Address, Subject, Key, Channel, Rule string
		Age                                                      float64
		Queued                                                   int `json:"queue_bytes"`
		Channels                                                 int
	}
	Next string
}

// A channelPage is what GET /channels answers.
type channelPage struct {
	Channels []struct {
		Channel     string
		Subscribers int
		Rate        float64
		Members     *int
	}
	Next string
}

// paged gets a page of either.
func paged[P any](n *node, url string) (p P) {
	n.t.Helper()
	status, body := n.ask("GET", url)
	if status != http.StatusOK {
		n.t.Fatalf("GET %s: %d %s", url, status, body)
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		n.t.Fatalf("GET %s: %v in %s", url, err, body)
	}
	return p
}

// sessions returns the names of the sessions of a channel, or of all for none, in pages of a size.
func (n *node) sessions(at, channel string, size int) (names []string) {
	n.t.Helper()
	url := fmt.Sprintf("%s/clients?limit=%d", at, size)
	if channel != "" {
		url += "&channel=" + channel
	}
	for next := ""; ; {
		p := paged[clientPage](n, url+next)
		for _, c := range p.Clients {
			names = append(names, c.Session)
		}
		if len(p.Clients) > size || p.Next != "" && len(p.Clients) != size {
			n.t.Errorf("a page of %d with %d clients", size, len(p.Clients))
		}
		if p.Next == "" {
			return names
		}
		next = "&after=" + p.Next
	}
}

// Pages put together are all clients, each once: of all channels and of one, whatever the size of a page; and so are those of
// channels.
func TestAdminPages(t *testing.T) {
	n := start(t, server.Options{Hosts: []string{}})
	at := n.admin(false)
	const clients = 700
	for i := range clients {
		s, err := n.server.Subscribe(t.Context(), transport.Identity{}, on(fmt.Sprintf("room.%03d", i%41)), on("all"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
	}
	for _, c := range []struct {
		channel    string
		size, want int
	}{{"", 500, clients}, {"", 7, clients}, {"all", 100, clients}, {"room.003", 3, 17}, {"room.003", 17, 17}, {"nobody", 5, 0}} {
		names := n.sessions(at, c.channel, c.size)
		seen := map[string]bool{}
		for _, name := range names {
			seen[name] = true
		}
		if len(names) != c.want || len(seen) != c.want {
			t.Errorf("%q in pages of %d: %d clients, %d different, want %d", c.channel, c.size, len(names), len(seen), c.want)
		}
	}
	var channels []string
	for next := ""; ; {
		p := paged[channelPage](n, at+"/channels?limit=5"+next)
		for _, c := range p.Channels {
			channels = append(channels, fmt.Sprint(c.Channel, " ", c.Subscribers))
		}
		if p.Next == "" {
			break
		}
		next = "&after=" + p.Next
	}
	if len(channels) != 42 || channels[0] != "all 700" || channels[4] != "room.003 17" {
		t.Error(channels)
	}
	if first := paged[channelPage](n, at+"/channels?sort=subscribers&limit=2"); len(first.Channels) != 2 || first.Channels[0].Channel != "all" || first.Next != "" {
		t.Errorf("%+v", first)
	}
}

// Channels are shown with their rate, and with members where there is presence; the program's own are not among them.
func TestAdminChannels(t *testing.T) {
	n := start(t, server.Options{Hosts: []string{}})
	at := n.admin(false)
	busy, quiet := n.ws("/ws/busy"), n.ws("/ws/quiet")
	_ = quiet
	ana, err := n.server.Subscribe(t.Context(), transport.Identity{Kind: transport.User, Subject: "ana"}, on("quiet"))
	if err != nil {
		t.Fatal(err)
	}
	defer ana.Close()
	for range 20 {
		n.publish("busy", "x")
	}
	for range 20 {
		read(t, busy)
	}
	p := paged[channelPage](n, at+"/channels?sort=rate")
	if len(p.Channels) != 2 || p.Channels[0].Channel != "busy" || p.Channels[0].Rate <= 0 || p.Channels[0].Rate > 20 || p.Channels[1].Rate != 0 {
		t.Fatalf("%+v", p)
	}
	if m := p.Channels[1].Members; m == nil || *m != 1 || p.Channels[1].Subscribers != 2 {
		t.Errorf("%+v", p.Channels[1])
	}
}

// A client is shown with all that an operator needs to know of it, and what a proxy says of its address counts as it does elsewhere.
func TestAdminClients(t *testing.T) {
	rule := access.Rule{Line: 7, Channels: []string{"room.*"}, Subscribe: access.Anyone}
	digest, _ := access.DigestOf(appKey)
	policy, err := access.New(access.Config{Keys: []access.Key{{Name: "app", Digest: digest}}, Rules: []access.Rule{rule}})
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, server.Options{Access: policy, Hosts: []string{}})
	at := n.admin(false)
	n.ws("/ws/room.1")
	n.sse("/sse/room.1", "Authorization", "Bearer "+appKey)
	n.ws("/live?channel=room.1&channel=room.2")
	var p clientPage
	comesTrue(t, "three of them, and the last one in both of its channels", func() bool {
		p = paged[clientPage](n, at+"/clients?channel=room.1")
		return len(p.Clients) == 3 && p.Clients[2].Channels == 2
	})
	var shown []string
	for _, c := range p.Clients {
		if c.Session == "" || c.Age < 0 || c.Queued != 0 {
			t.Errorf("%+v", c)
		}
		shown = append(shown, fmt.Sprint(c.Transport, " ", c.Address, " ", c.Channels, " ", c.Key, " ", c.Channel, ": ", c.Rule))
	}
	const line = "room.1: the rule in line 7 for room.* allows anyone"
	want := []string{"ws 127.0.0.1 1  " + line, "sse 127.0.0.1 1 app room.1: the key's own patterns allow it", "live 127.0.0.1 2  " + line}
	if strings.Join(shown, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q, want %q", shown, want)
	}
	for path, want := range map[string]int{
		"/clients?after=1": 400, "/clients?limit=0": 400, "/clients?limit=501": 400, "/clients?chanel=a": 400, "/clients?channel=a&channel=b": 400,
		"/channels?sort=age": 400, "/channels?sort=rate&after=a": 400, "/clients": 200, "/channels?sort=name&after=a": 200,
	} {
		if status, body := n.ask("GET", at+path); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// An operator disconnects one client, and no other: it is told to come back later, by 4010 on a WebSocket.
func TestAdminDisconnect(t *testing.T) {
	n := start(t, server.Options{Hosts: []string{}})
	at := n.admin(false)
	goes := map[string]func(){
		"ws":   closesWith(n.ws("/ws/a")),
		"live": closesWith(n.ws("/live?channel=a")),
	}
	stays := n.ws("/ws/a")
	stream := n.sse("/sse/a")
	other := n.sse("/sse/a")
	goes["sse"] = func() { _, _ = io.Copy(io.Discard, stream) } // which ends with the connection
	comesTrue(t, "five of them", func() bool { return len(n.sessions(at, "a", 500)) == 5 })
	ended := map[string]bool{}
	for _, c := range paged[clientPage](n, at+"/clients?channel=a").Clients {
		if end := goes[c.Transport]; end != nil && !ended[c.Transport] {
			ended[c.Transport] = true
			if status, body := n.ask("POST", at+"/clients/"+c.Session+"/disconnect"); status != http.StatusOK {
				t.Errorf("%s: %d %s", c.Transport, status, body)
			}
			end()
			comesTrue(t, "gone", func() bool { status, _ := n.ask("POST", at+"/clients/"+c.Session+"/disconnect"); return status == 404 })
		}
	}
	if len(ended) != 3 {
		t.Error("only", ended)
	}
	n.publish("a", "still")
	if got := read(t, stays); got != "[a] still" {
		t.Error(got)
	}
	if got := other.event(); !strings.Contains(got, "still") {
		t.Error(got)
	}
	for _, name := range []string{"x", "00000000-1", "-1", ""} {
		if status, body := n.ask("POST", at+"/clients/"+name+"/disconnect"); status != 404 {
			t.Errorf("%q: %d %s", name, status, body)
		}
	}
}

// closesWith returns what waits until c was closed with 4010.
func closesWith(c *websocket.Conn) func() {
	return func() {
		for {
			if _, err := readErr(c); err != nil {
				if !websocket.IsCloseError(err, 4010) {
					panic(err)
				}
				return
			}
		}
	}
}

// While operators list 5,000 clients again and again, each of these hears all that is published, in order.
func TestAdminListingDisturbsNobody(t *testing.T) {
	b := memory.New()
	defer b.Close()
	n := start(t, server.Options{Broker: b, Hosts: []string{}})
	at := n.admin(false)
	const clients, messages = 5000, 20
	var listening sync.WaitGroup
	for i := range clients {
		s, err := n.server.Subscribe(t.Context(), transport.Identity{}, on(fmt.Sprintf("room.%d", i%5)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		listening.Go(func() { hearInOrder(t, s, messages) })
	}
	done := make(chan struct{})
	var listing sync.WaitGroup
	for _, channel := range []string{"", "room.1"} {
		listing.Go(func() {
			for want := map[string]int{"": clients, "room.1": clients / 5}[channel]; ; {
				if got := len(n.sessions(at, channel, 500)); got != want {
					t.Errorf("%d clients of %q, want %d", got, channel, want)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range messages {
		for room := range 5 {
			if _, err := b.Publish(t.Context(), broker.Message{Channel: fmt.Sprintf("room.%d", room), Data: fmt.Append(nil, i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(done)
	listing.Wait()
	listening.Wait()
}

// hearInOrder hears messages that are numbers, from 0 on.
func hearInOrder(t *testing.T, s *local.Subscription, messages int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i := range messages {
		e, err := s.Next(ctx)
		if err != nil || e.Message == nil || string(e.Message.Data) != fmt.Sprint(i) {
			t.Errorf("message %d: %+v %v", i, e.Message, err)
			return
		}
	}
}

// An operator ends the server as a signal does: it answers 202, clients are told to come back, and Serve returns.
func TestAdminDrain(t *testing.T) {
	n := start(t, server.Options{Hosts: []string{}, DrainNotice: time.Millisecond})
	at := n.admin(false)
	c := n.ws("/ws/a")
	for range 2 {
		if status, body := n.ask("POST", at+"/drain"); status != http.StatusAccepted || body != "{\"connections\":1}\n" && body != "{\"connections\":0}\n" {
			t.Errorf("%d %s", status, body)
		}
	}
	if _, err := readErr(c); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Error(err)
	}
	_ = c.Close()
	<-n.server.DrainOrdered()
	if status, _ := n.ask("GET", at+"/readyz"); status != http.StatusServiceUnavailable {
		t.Error("ready:", status)
	}
	if err := <-n.served; err != nil {
		t.Error("Serve:", err)
	}
	n.served <- nil
}
