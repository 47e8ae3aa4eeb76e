package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// A visitor is a client of one channel.
type visitor struct {
	*checker
	chaos   *chaos
	channel int
	bites   func() int // messages after which a client drops its connection; nil for any number
	away    stay       // for how long it stays away then; nil for a moment
}

// address is that of the node that the client asks next.
func (v *visitor) address() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.node = v.chaos.address()
	return v.node
}

// path returns the path of the channel behind a route.
func (v *visitor) path(route string) string { return route + channelName(v.channel) }

// stay says for how long a client keeps a connection before it drops it; 0 is for
// as long as the server does.
type stay func() time.Duration

func forever() time.Duration { return 0 }

// hopping drops connections after 50 to 500 ms.
func hopping() time.Duration { return time.Duration(50+rand.IntN(450)) * time.Millisecond }

// between waits a little before a client comes back.
func between(ctx context.Context) { pause(ctx, time.Duration(5+rand.IntN(20))*time.Millisecond) }

func (v *visitor) between(ctx context.Context) {
	if v.away == nil {
		between(ctx)
	} else {
		pause(ctx, v.away())
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// visit ends with ctx, or after what s says, unless clients are to stay then.
func (v *visitor) visit(ctx context.Context, s stay) (visit context.Context, end context.CancelFunc) {
	visit, end = context.WithCancel(ctx)
	if d := s(); d > 0 {
		v.chaos.listening.Go(func() {
			defer end()
			for pause(visit, d); v.chaos.calm.Load() && visit.Err() == nil; {
				pause(visit, d)
			}
		})
	}
	return visit, end
}

// listenWS hears the channel over WebSockets in a format, or over /live. In text it continues
// where publishers remember the cursors, and otherwise where it was.
func (v *visitor) listenWS(ctx context.Context, format string, s stay) {
	cursor := ""
	dialer := websocket.Dialer{NetDialContext: v.chaos.dial}
	for ; ctx.Err() == nil; v.between(ctx) {
		conn, resp, err := dialer.DialContext(ctx, v.socketURL(format, cursor), nil)
		if err != nil {
			v.refused(err)
			if resp != nil && resp.StatusCode < 500 {
				v.failf("the server answered %s", resp.Status)
			}
			continue
		}
		v.join(cursor)
		visit, end := v.visit(ctx, s)
		unhook := context.AfterFunc(visit, func() { _ = conn.Close() })
		for enough := v.enough(); err == nil; {
			var p []byte
			if _, p, err = conn.ReadMessage(); err == nil {
				cursor = v.hearFrame(format, p, cursor)
				if enough() {
					end()
					break
				}
			}
		}
		if visit.Err() == nil {
			v.closed()
		}
		if websocket.IsCloseError(err, 4001) {
			v.gap("")
		}
		switch {
		case websocket.IsCloseError(err, 4003):
			v.unrecovered()
			cursor = ""
		case format == "text":
			cursor = v.chaos.load.awaitCursor(ctx, v.newest())
		}
		if cursor == "" {
			v.anew()
		}
		unhook()
		end()
		_ = conn.Close()
	}
}

// overLive is in place of a format.
const overLive = "live"

func (v *visitor) socketURL(format, cursor string) string {
	if format == overLive {
		return "ws://" + v.address() + v.path("/live/") + "?" + strings.TrimPrefix(andSince(cursor), "&")
	}
	return "ws://" + v.address() + v.path("/ws/") + "?format=" + format + andSince(cursor)
}

func andSince(cursor string) string {
	if cursor == "" {
		return ""
	}
	return "&since=" + url.QueryEscape(cursor)
}

// An object is what clients of the json format read.
type object struct {
	Type, Data, ID, Reason string
	Recovered              *bool
}

// enough reports whether the client has had what it wants of this connection. It is
// asked after each message.
func (v *visitor) enough() func() bool {
	if v.bites == nil {
		return func() bool { return false }
	}
	until := v.count() + v.bites()
	return func() bool { return v.count() >= until && !v.chaos.calm.Load() }
}

// hearFrame returns the newest cursor. A gap does not move it.
func (v *visitor) hearFrame(format string, p []byte, cursor string) string {
	if format == "text" {
		v.hear(strings.TrimPrefix(string(p), "["+channelName(v.channel)+"] "), "")
		return cursor
	}
	var o object
	if err := json.Unmarshal(p, &o); err != nil {
		v.failf("read %.80q: %v", p, err)
		return cursor
	}
	switch o.Type {
	case "message":
		v.hear(o.Data, o.ID)
	case "gap":
		v.gap(o.Reason)
	case "subscribed":
		if o.Recovered != nil { // it has asked
			v.answered(o.ID, *o.Recovered)
		}
	}
	if o.ID != "" {
		return o.ID
	}
	return cursor
}

// listenSSE hears the channel as EventSource does, which continues by itself.
func (v *visitor) listenSSE(ctx context.Context, s stay) {
	cursor := ""
	for ; ctx.Err() == nil; v.between(ctx) {
		visit, end := v.visit(ctx, s)
		err := v.readStream(visit, &cursor)
		if err == errEnough {
			err = nil
			end()
		}
		if err != nil && visit.Err() == nil {
			v.refused(err)
		}
		if visit.Err() == nil && err == nil {
			v.closed()
		}
		if cursor == "" && err == nil {
			v.anew()
		}
		end()
	}
}

// get makes a request of its own connection.
func (v *visitor) get(ctx context.Context, path, lastID string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+v.address()+path, nil)
	if err != nil {
		return nil, err
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	transport := &http.Transport{DialContext: v.chaos.dial, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, errors.New(resp.Status)
	}
	return resp, nil
}

var errEnough = errors.New("the client has had enough")

// readStream returns nil where the stream was there and has ended.
func (v *visitor) readStream(ctx context.Context, cursor *string) error {
	resp, err := v.get(ctx, v.path("/sse/"), *cursor)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	v.join(*cursor)
	enough := v.enough()
	in := bufio.NewReader(resp.Body)
	var name, data string
	id := *cursor
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil
		}
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			v.hearEvent(name, data, id)
			name, data, *cursor = "", "", id
			if enough() {
				return errEnough
			}
		case field == "event":
			name = value
		case field == "data":
			data = value // messages have one line
		case field == "id":
			id = value
		}
	}
}

func (v *visitor) hearEvent(name, data, id string) {
	var o object
	if name != "" {
		_ = json.Unmarshal([]byte(data), &o)
	}
	switch {
	case name == "gap":
		v.gap(o.Reason)
	case name == "subscribed":
		v.answered(o.ID, o.Recovered != nil && *o.Recovered)
	case name == "" && data != "":
		v.hear(data, id)
	}
}

// poll hears the channel by long polls of its history, now and then.
func (v *visitor) poll(ctx context.Context) {
	v.join("") // the first page has what came before it
	for cursor, since := "", (time.Time{}); ctx.Err() == nil; pause(ctx, hopping()) {
		asked := time.Now()
		page, err := v.getPage(ctx, v.path("/history/")+"?limit=500&wait=2s"+andSince(cursor))
		if err != nil {
			v.refused(err)
			continue
		}
		if cursor == "" {
			v.anew() // only the newest are in it
		}
		v.paged(page.Complete, since, asked)
		for _, m := range page.Messages {
			if !page.Complete {
				v.incomplete() // it may be before any of them
			}
			v.hear(m.Data, m.ID)
		}
		cursor, since = page.Next, time.Now()
	}
}

type page struct {
	Messages []object
	Complete bool
	Next     string
}

func (v *visitor) getPage(ctx context.Context, path string) (p page, err error) {
	resp, err := v.get(ctx, path, "")
	if err != nil {
		return p, err
	}
	defer resp.Body.Close()
	return p, json.NewDecoder(resp.Body).Decode(&p)
}
