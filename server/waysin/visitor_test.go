package waysin_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A visitor makes requests as they are, over a connection that it keeps where it can.
type visitor struct {
	t    *testing.T
	site *site
	conn net.Conn
	in   *bufio.Reader
	two  *http.Transport // nil for HTTP/1.1
}

func (s *site) visitor(t *testing.T) *visitor {
	v := &visitor{t: t, site: s}
	t.Cleanup(v.leave)
	return v
}

func (v *visitor) leave() {
	if v.conn != nil {
		_ = v.conn.Close()
	}
	v.conn = nil
}

// An answer is what a visitor got.
type answer struct {
	status int
	code   string // of a problem
	header http.Header
	body   string // none of an answer that goes on

	told bool // in the words of a protocol, behind a header that lets anybody in
}

// has reports whether a text is in what the visitor can see.
func (a answer) has(text string) bool {
	var all strings.Builder
	_ = a.header.Write(&all)
	return strings.Contains(all.String(), text) || strings.Contains(a.body, text)
}

// send makes a request.
func (v *visitor) send(request string) {
	v.t.Helper()
	if v.conn == nil {
		conn, err := net.Dial("tcp", v.site.addr)
		if err != nil {
			v.t.Fatal(err)
		}
		v.conn, v.in = conn, bufio.NewReader(conn)
	}
	_ = v.conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(v.conn, request) // what was not taken has been answered all the same
}

// ask returns the answer to a request for a channel.
func (v *visitor) ask(w way, channel string, e extra) answer {
	v.t.Helper()
	if v.two != nil {
		return v.askOverHTTP2(w, channel, e)
	}
	request := w.request(channel, e)
	v.send(request)
	resp, err := http.ReadResponse(v.in, nil)
	if err != nil {
		v.t.Fatalf("no answer to %.80q: %v", request, err)
	}
	defer resp.Body.Close()
	a := answerOf(resp.StatusCode, resp.Header, "")
	if a.goesOn() {
		defer v.leave()
		if w.talks {
			return v.told(a)
		}
		return a
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatalf("half an answer to %.80q: %v", request, err)
	}
	if resp.Close {
		v.leave()
	}
	return answerOf(resp.StatusCode, resp.Header, string(body))
}

// told returns what a conversation that has begun with a says of the channel: that it is subscribed,
// or why not, as if that had been the answer.
func (v *visitor) told(a answer) answer {
	v.t.Helper()
	for {
		_, payload, err := readFrame(v.in)
		var frame struct {
			Type, Code string
			Status     int
		}
		if err != nil || json.Unmarshal(payload, &frame) != nil {
			v.t.Fatalf("a conversation ended with %q: %v", payload, err)
		}
		switch frame.Type {
		case "subscribed":
			return a
		case "error":
			return answer{frame.Status, frame.Code, a.header, string(payload), true}
		}
	}
}

// readFrame returns the next frame of a WebSocket (RFC 6455, section 5.2) of less than 64 KiB.
func readFrame(in *bufio.Reader) (opcode byte, payload []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:2]); err != nil {
		return 0, nil, err
	}
	size := int(head[1])
	if size == 126 {
		if _, err := io.ReadFull(in, head[2:]); err != nil {
			return 0, nil, err
		}
		size = int(binary.BigEndian.Uint16(head[2:]))
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(in, payload)
	return head[0] & 0xf, payload, err
}

func answerOf(status int, h http.Header, body string) answer {
	var problem struct{ Code string }
	if h.Get("Content-Type") == "application/problem+json" {
		_ = json.Unmarshal([]byte(body), &problem) // without it the code is not what a test wants
	}
	return answer{status, problem.Code, h, body, false}
}

// goesOn reports whether messages follow.
func (a answer) goesOn() bool {
	return a.status == http.StatusSwitchingProtocols || strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream")
}
