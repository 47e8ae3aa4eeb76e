package waysin_test

import (
	"bufio"
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

// ask returns the answer to a request.
func (v *visitor) ask(request string) answer {
	v.t.Helper()
	v.send(request)
	resp, err := http.ReadResponse(v.in, nil)
	if err != nil {
		v.t.Fatalf("no answer to %.80q: %v", request, err)
	}
	defer resp.Body.Close()
	a := answerOf(resp.StatusCode, resp.Header, "")
	if a.goesOn() {
		v.leave()
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

func answerOf(status int, h http.Header, body string) answer {
	var problem struct{ Code string }
	if h.Get("Content-Type") == "application/problem+json" {
		_ = json.Unmarshal([]byte(body), &problem) // without it the code is not what a test wants
	}
	return answer{status, problem.Code, h, body}
}

// goesOn reports whether messages follow.
func (a answer) goesOn() bool {
	return a.status == http.StatusSwitchingProtocols || strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream")
}
