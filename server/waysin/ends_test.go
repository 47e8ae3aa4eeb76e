package waysin_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token/tokentest"
	"github.com/pregon/pregon/transport"
)

// A listener hears a channel, or waits for news of it, until it is sent away.
type listener struct {
	conn net.Conn
	in   *bufio.Reader
	resp *http.Response

	lines *bufio.Reader // of the body
}

// listen opens what a way opens, for a caller that may.
func (s *site) listen(t *testing.T, w way, channel string, e extra) *listener {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, w.request(channel, e))
	l := &listener{conn: conn, in: bufio.NewReader(conn)}
	if !w.polls {
		l.answered(t)
	}
	for w.talks {
		if _, payload := l.frame(t); strings.Contains(string(payload), `"type":"subscribed"`) {
			break
		}
	}
	return l
}

// answered reads the answer up to its body.
func (l *listener) answered(t *testing.T) int {
	t.Helper()
	var err error
	if l.resp, err = http.ReadResponse(l.in, nil); err != nil {
		t.Fatal("no answer:", err)
	}
	return l.resp.StatusCode
}

// end returns how a stay ends: with the code of a WebSocket's close, "unsubscribed" where a conversation goes on without
// the channel, the status of a poll's answer, or "cut" for a
// stream, which has no other way to say so. What is heard before is passed over.
func (l *listener) end(t *testing.T) string {
	t.Helper()
	switch {
	case l.resp == nil:
		return fmt.Sprint(l.answered(t))
	case l.resp.StatusCode != http.StatusSwitchingProtocols:
		if _, err := io.Copy(io.Discard, l.resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error("a stream ended with", err)
		}
		return "cut"
	}
	for {
		opcode, payload := l.frame(t)
		if strings.Contains(string(payload), `"type":"unsubscribed"`) {
			return "unsubscribed"
		}
		if opcode == 8 && len(payload) >= 2 {
			return fmt.Sprint(binary.BigEndian.Uint16(payload))
		}
	}
}

// frame returns the next frame of a WebSocket.
func (l *listener) frame(t *testing.T) (opcode byte, payload []byte) {
	t.Helper()
	opcode, payload, err := readFrame(l.in)
	if err != nil {
		t.Fatal("a WebSocket was cut:", err)
	}
	return opcode, payload
}

// next returns the number of the next message, which is told alike by all protocols: somewhere in what is heard.
func (l *listener) next() (number int, err error) {
	body := l.in
	if l.resp.StatusCode != http.StatusSwitchingProtocols {
		if l.lines == nil {
			l.lines = bufio.NewReader(l.resp.Body)
		}
		body = l.lines
	}
	for {
		text, err := body.ReadString(';')
		if err != nil {
			return 0, err
		}
		if i := strings.LastIndex(text, "message "); i >= 0 {
			if _, err := fmt.Sscanf(text[i:], "message %d;", &number); err == nil {
				return number, nil
			}
		}
	}
}

// publish publishes a message with a number.
func (v *visitor) publish(channel string, number int) {
	v.t.Helper()
	w := way{method: "POST", target: "/publish/CHANNEL", header: []string{"Content-Type: text/plain"}, body: fmt.Sprintf("message %d;", number)}
	if got := v.ask(w, channel, inHeader.bring(appKey)); got.status != http.StatusOK {
		v.t.Fatal("publish:", got)
	}
}

// stays returns the ways by which a caller stays.
func stays(t *testing.T) []way {
	var some []way
	for _, w := range ways(t, nil) {
		if w.stays {
			some = append(some, w)
		}
	}
	return append(some, way{name: "poll", method: "GET", target: "/history/CHANNEL?wait=60s", polls: true})
}

// endsWith fails the test unless a stay ends so: a WebSocket with a code, a stream without a word, a poll with a status.
func (l *listener) endsWith(t *testing.T, w way, code, status string) {
	t.Helper()
	want := code
	switch {
	case w.polls:
		want = status
	case w.talks && code == "4100": // it keeps its other channels
		want = "unsubscribed"
	case l.resp.StatusCode != http.StatusSwitchingProtocols:
		want = "cut"
	}
	if got := l.end(t); got != want {
		t.Errorf("%s ended with %s, want %s", w.name, got, want)
	}
}

// A stay ends with the credential that it came by, whatever the protocol.
func TestStaysEndWithTheirCredential(t *testing.T) {
	t.Parallel()
	s := serve(t, server.Options{
		Access: policy(t, nil),
		Authenticate: func(*http.Request) (transport.Identity, error) {
			return transport.Identity{Kind: transport.User, Subject: "u1", Subscribe: []string{"room.*"}, Expires: time.Now().Add(time.Second)}, nil
		},
	})
	all := stays(t)
	open := make([]*listener, len(all))
	for i, w := range all {
		open[i] = s.listen(t, w, s.channel("room"), extra{})
	}
	for i, w := range all {
		open[i].endsWith(t, w, "4009", "401")
	}
}

// Whose right is taken away by a reload is sent away on every way, and told not to come back where that can be told; who
// still may hears on.
func TestReloadEndsStays(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(time.Now())
	v := verifier(t, kit)
	s := serve(t, server.Options{Access: policy(t, v)})
	user := inHeader.bring(callers(kit)[1].credential)
	all := stays(t)
	var goes, keeps []*listener
	kept := s.channel("user.u1")
	for _, w := range all {
		goes = append(goes, s.listen(t, w, s.channel("room"), user))
		if !w.polls {
			keeps = append(keeps, s.listen(t, w, kept, user))
		}
	}
	publisher := s.visitor(t)
	for s.server.Stats().Waiting == 0 {
		publisher.ask(way{method: "GET", target: "/healthz"}, "", extra{}) // time passes
	}
	if err := s.reload(policy(t, v, access.Rule{Channels: []string{"room.*"}})); err != nil {
		t.Fatal(err)
	}
	for i, w := range all {
		goes[i].endsWith(t, w, "4100", "403")
	}
	publisher.publish(kept, 1)
	for i, l := range keeps {
		if got, err := l.next(); got != 1 {
			t.Errorf("%s heard %d: %v", all[i].name, got, err)
		}
	}
}

// A hundred reloads and more that concern nobody, while messages are published, end no stay, and no message is lost.
func TestReloadsThatConcernNobody(t *testing.T) {
	t.Parallel()
	const reloads, messages, each = 100, 300, 5
	kit := tokentest.NewKit(time.Now())
	v := verifier(t, kit)
	policies := []*access.Policy{policy(t, v, access.Rule{Channels: []string{"other.*"}, Subscribe: access.Token}), policy(t, v)}
	s := serve(t, server.Options{Access: policies[1]})
	user := inHeader.bring(callers(kit)[1].credential)
	channel := s.channel("room")
	var others sync.WaitGroup
	for range each {
		for _, w := range stays(t) {
			if w.polls {
				continue
			}
			l := s.listen(t, w, channel, user)
			others.Go(func() {
				for want := range messages {
					if got, err := l.next(); err != nil || got != want {
						t.Errorf("%s heard %d, want %d: %v", w.name, got, want, err)
						return
					}
				}
			})
		}
	}
	var published atomic.Bool
	others.Go(func() {
		for i := 0; i < reloads || !published.Load(); i++ {
			if err := s.reload(policies[i%2]); err != nil {
				t.Error(err)
			}
		}
	})
	publisher := s.visitor(t)
	for i := range messages {
		publisher.publish(channel, i)
	}
	published.Store(true)
	others.Wait()
}

// reload puts other rules in the place of those there are.
func (s *site) reload(p *access.Policy) error {
	return s.server.Reload(server.Reloadable{Access: p, Cookie: cookie, Hosts: []string{host}})
}
