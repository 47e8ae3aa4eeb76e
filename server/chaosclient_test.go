package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// A site is where clients connect: one of the nodes that run.
type place interface{ address() string }

// stay says for how long a client keeps a connection before it drops it; 0 is for
// as long as the server does.
type stay func() time.Duration

func forever() time.Duration { return 0 }

// hopping drops connections after 50 to 500 ms.
func hopping() time.Duration { return time.Duration(50+rand.IntN(450)) * time.Millisecond }

// between waits a little before a client comes back.
func between(ctx context.Context) {
	select {
	case <-time.After(time.Duration(5+rand.IntN(20)) * time.Millisecond):
	case <-ctx.Done():
	}
}

// limited ends with ctx, or after what s says.
func (s stay) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if d := s(); d > 0 {
		return context.WithTimeout(ctx, d)
	}
	return context.WithCancel(ctx)
}

// listenWS hears the channel over WebSockets in a format. In json it continues
// where it was, and in text it begins anew each time, which the checker counts as
// told: it has no cursor.
func listenWS(ctx context.Context, at place, format string, s stay, c *checker) {
	cursor := ""
	for ctx.Err() == nil {
		conn, resp, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+at.address()+"/ws/c?format="+format+andSince(cursor), nil)
		if err != nil {
			if resp != nil && resp.StatusCode < 500 {
				c.failf("the server answered %s", resp.Status)
			}
			between(ctx)
			continue
		}
		visit, end := s.limited(ctx)
		unhook := context.AfterFunc(visit, func() { _ = conn.Close() })
		for err == nil {
			var p []byte
			if _, p, err = conn.ReadMessage(); err == nil {
				cursor = hearFrame(c, format, p, cursor)
			}
		}
		if visit.Err() == nil {
			c.closed()
		}
		if format != "json" {
			c.gap()
		}
		unhook()
		end()
		_ = conn.Close()
		between(ctx)
	}
}

func andSince(cursor string) string {
	if cursor == "" {
		return ""
	}
	return "&since=" + url.QueryEscape(cursor)
}

// An object is what clients of the json format read.
type object struct {
	Type, Data, ID string
	Recovered      *bool
}

// hearFrame returns the newest cursor.
func hearFrame(c *checker, format string, p []byte, cursor string) string {
	if format != "json" {
		c.hear(strings.TrimPrefix(string(p), "[c] "))
		return cursor
	}
	var o object
	if err := json.Unmarshal(p, &o); err != nil {
		c.failf("read %.80q: %v", p, err)
		return cursor
	}
	switch {
	case o.Type == "message":
		c.hear(o.Data)
	case o.Type == "gap", o.Type == "subscribed" && !*o.Recovered:
		c.gap()
		return "" // where the message after it is, is not known yet
	}
	if o.ID != "" && o.Type == "message" {
		return o.ID
	}
	return cursor
}

// listenSSE hears the channel as EventSource does, which continues by itself.
func listenSSE(ctx context.Context, at place, s stay, c *checker) {
	cursor := ""
	for ctx.Err() == nil {
		visit, end := s.limited(ctx)
		err := readStream(visit, at, c, &cursor)
		if visit.Err() == nil && err == nil {
			c.closed()
		}
		end()
		between(ctx)
	}
}

// readStream returns nil where the stream was there and has ended.
func readStream(ctx context.Context, at place, c *checker, cursor *string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.address()+"/sse/c", nil)
	if err != nil {
		return err
	}
	if *cursor != "" {
		req.Header.Set("Last-Event-ID", *cursor)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	in := bufio.NewReader(resp.Body)
	var name, data, id string
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "event":
			name = value
		case "data":
			data = value
		case "id":
			id = value
		case "":
			hearEvent(c, name, data)
			if id != "" {
				*cursor = id
			}
			name, data, id = "", "", ""
		}
	}
}

func hearEvent(c *checker, name, data string) {
	switch {
	case name == "gap", name == "subscribed" && strings.Contains(data, `"recovered":false`):
		c.gap()
	case name == "" && data != "":
		c.hear(data)
	}
}

// poll hears the channel by long polls of its history.
func poll(ctx context.Context, at place, c *checker) {
	cursor := ""
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for ctx.Err() == nil {
		page, err := getPage(ctx, client, "http://"+at.address()+"/history/c?limit=500&wait=2s"+andSince(cursor))
		if err != nil {
			between(ctx)
			continue
		}
		if !page.Complete {
			c.gap()
		}
		for _, m := range page.Messages {
			if !page.Complete {
				c.gap() // it may be before any of them
			}
			c.hear(m.Data)
		}
		cursor = page.Next
	}
}

type page struct {
	Messages []object
	Complete bool
	Next     string
}

func getPage(ctx context.Context, client *http.Client, target string) (page, error) {
	var p page
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return p, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return p, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return p, err
	}
	if resp.StatusCode != http.StatusOK {
		return p, errors.New(resp.Status)
	}
	return p, json.Unmarshal(body, &p)
}
