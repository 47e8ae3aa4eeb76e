package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pregon/pregon/broker"
)

// socket says whether WebSockets pass.
func (x *examination) socket(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	l, _, err := x.client.dialLive(ctx, "connect", nil)
	switch {
	case errors.Is(err, errNotThrough):
		x.bad("websocket", sentence(plainError(err)),
			"Have the proxy pass upgrades (nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;).")
		return
	case errors.Is(err, errRefused):
		x.warn("websocket", sentence(plainError(err)), "Give a token or a key that may listen by --token-file.")
		return
	case err != nil:
		x.bad("websocket", sentence(plainError(err)), "")
		return
	}
	l.close()
	x.ok("websocket", "A connection is made, and the server speaks.")
}

// listenInSilence connects, publishes nothing and waits for a ping on a WebSocket and on an event stream: the
// function that it returns waits until both have come, and says so. What is examined meanwhile takes no time.
func (x *examination) listenInSilence(ctx context.Context) func() {
	l, welcome, err := x.client.dialLive(ctx, "connect", nil)
	if err != nil {
		return func() {} // socket says why
	}
	x.longest, x.ping = welcome.Limits.Message, seconds(welcome.Ping)
	if x.ping <= 0 || x.ping > maxSilence {
		l.close()
		return func() {}
	}
	within, cancel := context.WithTimeout(ctx, x.ping+grace)
	context.AfterFunc(within, l.close)
	stayed := make(chan error, 2)
	go func() { stayed <- pinged(l) }()
	go func() { stayed <- x.commented(within) }()
	return func() {
		defer cancel()
		x.stayed(errors.Join(<-stayed, <-stayed))
	}
}

const (
	maxSilence = 30 * time.Second // the longest time between pings that is waited for
	grace      = 3 * time.Second  // by which a ping may be late
)

// pinged waits for a ping.
func pinged(l *liveSource) error {
	for {
		f, err := l.next()
		if err != nil {
			return fmt.Errorf("a WebSocket: %w", err)
		}
		if f.Type == "ping" {
			return nil
		}
	}
}

// commented waits for something on an event stream of a channel in which nothing is said.
func (x *examination) commented(ctx context.Context) error {
	resp, err := x.get(ctx, "/sse/"+x.channel+"-silent", nil)
	if err != nil {
		return fmt.Errorf("an event stream: %w", withoutURL(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil // who may listen is examined elsewhere
	}
	opening := time.Now()
	for buf := make([]byte, 512); ; {
		_, err := resp.Body.Read(buf)
		switch {
		case err != nil:
			return fmt.Errorf("an event stream: %w", err)
		case time.Since(opening) > x.ping/2: // and so more than what opens it
			return nil
		}
	}
}

func (x *examination) stayed(err error) {
	if err != nil {
		x.bad("silence", fmt.Sprintf("A connection on which nothing is said does not live until its ping, after %v: %v.", x.ping, plainError(err)),
			"Set the time-outs of the proxy to more than that (nginx: proxy_read_timeout 75s;), or --ping-interval to less.")
		return
	}
	x.ok("silence", fmt.Sprintf("Connections on which nothing is said live until their ping, after %v.", x.ping))
}

// unbuffered is how long a message may take that waits for nothing.
const unbuffered = 2 * time.Second

// A listening is an event stream of the channel of an examination.
type listening struct {
	frames chan frame
	failed chan error
	end    func()
	header http.Header
}

// listen opens an event stream that begins behind since, where that is not empty. The caller ends it.
func (x *examination) listen(ctx context.Context, since string) (*listening, error) {
	ctx, cancel := context.WithCancel(ctx)
	opened := time.AfterFunc(examineTime, cancel)
	query := url.Values{"format": {"json"}}
	if since != "" {
		query.Set("since", since)
	}
	resp, err := x.get(ctx, "/sse/"+x.channel+"?"+query.Encode(), http.Header{"Accept": {"text/event-stream"}})
	if err != nil {
		cancel()
		return nil, withoutURL(err)
	}
	opened.Stop()
	if resp.StatusCode != http.StatusOK {
		defer cancel()
		defer resp.Body.Close()
		return nil, answerError(resp)
	}
	l := &listening{frames: make(chan frame, 16), failed: make(chan error, 1), header: resp.Header}
	stream := newStreamSource(ctx, cancel, resp.Body)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.failed <- pump(ctx, stream, l.frames)
	}()
	l.end = func() { stream.close(); <-done }
	return l, nil
}

// await returns the message with a text, and false where it does not come in time.
func (l *listening) await(text string, within time.Duration) (frame, bool) {
	late := time.After(within)
	for {
		select {
		case f := <-l.frames:
			if f.Type == "message" && f.Data == text {
				return f, true
			}
		case <-l.failed:
			return frame{}, false
		case <-late:
			return frame{}, false
		}
	}
}

const unbuffer = "Have the proxy pass on at once what comes (nginx: proxy_buffering off; and no compression of text/event-stream)."

// stream says whether event streams pass, and their messages at once.
func (x *examination) stream(ctx context.Context) {
	l, err := x.listen(ctx, "")
	switch {
	case errors.Is(err, errRefused):
		x.warn("stream", sentence(err), "Give a token or a key that may listen by --token-file.")
		return
	case errors.Is(err, context.Canceled):
		x.bad("stream", "An event stream does not begin.", unbuffer)
		return
	case err != nil:
		x.bad("stream", sentence(plainError(err)), "")
		return
	}
	defer l.end()
	if encoding := l.header.Get("Content-Encoding"); encoding != "" {
		x.warn("stream", "Something on the way compresses event streams, and may keep messages back.", unbuffer)
	}
	if !x.mayPublish {
		x.ok("stream", "An event stream begins. Whether messages pass at once was not tried.")
		return
	}
	for i := range 3 {
		text, began := fmt.Sprint("one by one ", i), time.Now()
		if _, err := x.publish(ctx, text); err != nil {
			x.bad("stream", sentence(plainError(err)), "")
			return
		}
		if _, came := l.await(text, unbuffered); !came {
			x.bad("stream", fmt.Sprintf("A message had not come %v after it was published.", time.Since(began).Round(100*time.Millisecond)), unbuffer)
			return
		}
	}
	x.ok("stream", "An event stream begins, and each message comes at once.")
}

// resuming says whether a client that was cut off gets what it has missed.
func (x *examination) resuming(ctx context.Context) {
	if !x.mayPublish {
		return
	}
	seen, err := x.publish(ctx, "seen")
	switch {
	case err != nil:
		x.bad("resume", sentence(plainError(err)), "")
		return
	case seen.ID == "":
		x.say(broker.SeverityOK, "resume", "No history is kept: clients that were cut off miss what came meanwhile, and are told so.", "With --history they would get it.")
		return
	}
	if _, err = x.publish(ctx, "missed"); err != nil {
		x.bad("resume", sentence(plainError(err)), "")
		return
	}
	l, err := x.listen(ctx, seen.ID)
	if err != nil {
		if !errors.Is(err, errRefused) { // which stream says
			x.bad("resume", sentence(plainError(err)), "")
		}
		return
	}
	defer l.end()
	if _, came := l.await("missed", unbuffered); !came {
		x.bad("resume", "A client that comes back with its cursor does not get what it has missed.", "Do all nodes behind this address have the same broker and --history?")
		return
	}
	x.ok("resume", "A client that comes back with its cursor gets what it has missed.")
}

// largeBytes is how long a message is that every way to the server should pass.
const largeBytes = 1 << 20

// large says whether long messages pass.
func (x *examination) large(ctx context.Context) {
	if !x.mayPublish {
		return
	}
	size := largeBytes
	if x.longest > 0 {
		size = min(size, x.longest)
	}
	_, err := x.publish(ctx, strings.Repeat("x", size))
	a, isAnswer := errors.AsType[*answered](err)
	switch {
	case err == nil:
		x.ok("large", fmt.Sprintf("A message of %d bytes passes.", size))
	case isAnswer && a.code != "":
		x.warn("large", fmt.Sprintf("A message of %d bytes: %v.", size, a), "")
	default:
		x.bad("large", fmt.Sprintf("A message of %d bytes does not pass: %v.", size, plainError(err)), "Have the proxy pass long bodies (nginx: client_max_body_size 20m;).")
	}
}

// plainError returns what an error says in one line.
func plainError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("the connection was cut")
	}
	return errors.New(plainly(err))
}

// originOf returns the origin of an address.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
