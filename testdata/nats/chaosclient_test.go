package nats_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// A kind is that of an event.
type kind int

const (
	aMessage kind = iota
	aGap
	aJoin  // the client listens, and hears what is published from now on, or behind its cursor
	aFault // something else that must not be
)

// An event is what a client has seen.
type event struct {
	kind kind
	said        // of a message
	text string // of a fault or a gap
}

func (e event) String() string {
	switch e.kind {
	case aMessage:
		return e.said.String()
	case aGap:
		return "a gap " + e.text
	}
	return e.text
}

// A client hears one channel, over WebSocket or server-sent events. With a history it goes on where it was.
type client struct {
	chaos   *chaos
	channel int
	sse     bool
	hops    bool // it leaves again and again, and comes back to any node
	left    int  // messages after which it leaves

	mu      sync.Mutex
	events  []event
	last    map[int]int // by publisher, the newest number heard
	cursor  string
	there   bool  // it is let in
	refusal error // why it was not let in last
}

// run comes back until ctx ends.
func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		visit, end := context.WithCancel(ctx)
		err := c.listen(visit)
		if visit.Err() == nil && c.isThere() && err != errEnough {
			c.note(event{kind: aFault, text: fmt.Sprint("the server ended the connection: ", err)})
		}
		end()
		pause(ctx, time.Duration(10+rand.IntN(40))*time.Millisecond)
	}
}

// errEnough is why a client that hops leaves.
var errEnough = errors.New("the client has had enough")

// listen hears the channel until ctx or the connection ends, or a client that hops has heard some messages.
func (c *client) listen(ctx context.Context) error {
	c.left = 1 + rand.IntN(10)
	path := c.chaos.nodes[rand.IntN(len(c.chaos.nodes))] + "/%s/" + channelName(c.channel) + "?format=json"
	if c.cursor != "" {
		path += "&since=" + url.QueryEscape(c.cursor)
	}
	if c.sse {
		return c.listenSSE(ctx, "http://"+fmt.Sprintf(path, "sse"))
	}
	return c.listenWS(ctx, "ws://"+fmt.Sprintf(path, "ws"))
}

func (c *client) listenWS(ctx context.Context, url string) error {
	conn, _, err := websocket.DefaultDialer.DialContext(ctx, url, nil)
	if err != nil {
		return c.refused(err)
	}
	c.note(event{kind: aJoin})
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	for {
		_, frame, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		if err := c.hear(frame); err != nil {
			return err
		}
	}
}

func (c *client) listenSSE(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return c.refused(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return c.refused(fmt.Errorf("the answer is %s", resp.Status))
	}
	c.note(event{kind: aJoin})
	in := bufio.NewReader(resp.Body)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if data, ok := strings.CutPrefix(line, "data:"); ok { // messages have one line
			if err := c.hear([]byte(strings.TrimSpace(data))); err != nil {
				return err
			}
		}
	}
}

// refused is no fault: while the broker is away nobody is let in.
func (c *client) refused(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.there, c.refusal = false, err
	return err
}

// hear takes what the server says. It returns errEnough where the client is to leave.
func (c *client) hear(frame []byte) error {
	var o struct {
		Type, Data, ID, Reason string
		Recovered              *bool
	}
	if err := json.Unmarshal(frame, &o); err != nil {
		c.note(event{kind: aFault, text: fmt.Sprintf("heard %.80q: %v", frame, err)})
		return nil
	}
	switch o.Type {
	case "message":
		c.note(event{kind: aMessage, said: parseSaid(o.Data, o.ID)})
		c.left--
	case "gap":
		c.note(event{kind: aGap, text: o.Reason})
	case "subscribed":
		if c.cursor != "" && (o.Recovered == nil || !*o.Recovered) {
			c.note(event{kind: aFault, text: "has not recovered"})
		}
	}
	if o.ID != "" {
		c.cursor = o.ID
	}
	if c.hops && c.left <= 0 && !c.chaos.calm.Load() {
		return errEnough
	}
	return nil
}

// note keeps what the client has seen.
func (c *client) note(e event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
	switch e.kind {
	case aJoin:
		c.there = true
	case aMessage:
		if c.last == nil {
			c.last = map[int]int{}
		}
		c.last[e.publisher] = e.n
	}
}

func (c *client) isThere() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.there
}

// has reports whether the client has heard something as new as ends, by publisher.
func (c *client) has(ends map[int]int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for publisher, n := range ends {
		if publisher%chaosChannels == c.channel && c.last[publisher] < n {
			return false
		}
	}
	return true
}

// state says where the client is.
func (c *client) state(ends map[int]int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("it is there: %v, was refused last by %v, and has heard up to %v of %v", c.there, c.refusal, c.last, ends)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
