package cmd_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	pregon "github.com/pregon/pregon/cmd"
)

// A talk is one connection to a server of /live whose side a test speaks.
type talk struct {
	t  *testing.T
	ws *websocket.Conn
	r  *http.Request
}

// say sends frames.
func (c talk) say(frames ...string) {
	for _, f := range frames {
		if err := c.ws.WriteMessage(websocket.TextMessage, []byte(f)); err != nil {
			c.t.Log("say:", err) // what is missing then fails the test
		}
	}
}

// hear returns the next command, empty where the connection has ended.
func (c talk) hear() string {
	_, text, err := c.ws.ReadMessage()
	if err != nil {
		return ""
	}
	return string(text)
}

// close ends the connection with a code.
func (c talk) close(code int, reason string) {
	_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(patience))
}

const welcome = `{"type":"welcome","session":"s","ping":25,"limits":{"message":1048576,"channels":1000}}`

// conversing is a server of /live that holds one prepared talk after the other.
func conversing(t *testing.T, talks ...func(talk)) (url string) {
	t.Helper()
	upgrader := websocket.Upgrader{Subprotocols: []string{"pregon.v1"}}
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/live" || len(talks) == 0 {
			http.NotFound(w, r)
			return
		}
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error("upgrade:", err)
			return
		}
		defer ws.Close()
		if ws.Subprotocol() != "pregon.v1" {
			t.Errorf("the subprotocol is %q", ws.Subprotocol())
		}
		_ = ws.SetReadDeadline(time.Now().Add(patience))
		next := talks[0]
		talks = talks[1:]
		next(talk{t, ws, r})
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// over ends a talk so that a sub does not come back.
func (c talk) over() { c.close(4100, "over") }

// wasOver is the last that a sub tells then.
const wasOver = "the server has closed the connection with 4100: over"

// told runs a sub that ends by itself, and checks its exit code and what it tells, line by line. It returns what it
// prints.
func told(t *testing.T, stdin io.Reader, args []string, code int, lines ...string) (stdout string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errs bytes.Buffer
	if got := pregon.Run(ctx, append([]string{"sub"}, args...), stdin, &out, &errs); got != code {
		t.Errorf("exit %d, want %d", got, code)
	}
	want := ""
	for _, line := range lines {
		want += "pregon: " + line + "\n"
	}
	if diff := cmp.Diff(want, errs.String()); diff != "" {
		t.Error(diff)
	}
	return out.String()
}

// What arrives by /live is printed in the format that was asked for, and what is no message is
// told beside it, or for programs printed with it.
func TestSubPrintsLive(t *testing.T) {
	lost, gap := `{"type":"subscribed","channel":"a","recovered":false}`, `{"type":"gap","channel":"a","reason":"link-lost"}`
	members := `{"type":"members","channel":"a","count":2,"members":[{"sub":"ana"},{"sub":"eva"}]}`
	presence, many := `{"type":"presence","channel":"a","joined":[{"sub":"zoe"}],"left":["ana"]}`, `{"type":"presence","channel":"a","count":2000}`
	uno, dos := message("a", "uno\n", ""), message("b", "\xFF", "")
	frames := []string{welcome, lost, uno, `{"type":"ping"}`, gap, dos, members, presence, many, `{"type":"new","channel":"a"}`}
	people := []string{
		`"a" cannot be continued where it was left: messages may be missing here`, "messages may be missing here: " + gap,
		"[a] 2 there: ana, eva", "[a] joined: zoe", "[a] left: ana", "[a] 2000 there", wasOver,
	}
	for format, c := range map[string]struct {
		prints string
		tells  []string
	}{
		"text": {"[a] uno\n\n[b] \xFF\n", people},
		"raw":  {"uno\n\n\xFF\n", people},
		"json": {strings.Join([]string{lost, uno, gap, dos, members, presence, many, ""}, "\n"), []string{people[0], wasOver}},
	} {
		t.Run(format, func(t *testing.T) {
			url := conversing(t, func(c talk) {
				if got := c.r.URL.RawQuery; got != "channel=a&channel=b&presence=1" {
					t.Errorf("asked for %s", got)
				}
				c.say(frames...)
				c.over()
			})
			if got := told(t, nil, []string{"a", "b", "--members", "--format", format, "--url", url}, 1, c.tells...); got != c.prints {
				t.Errorf("printed %q, want %q", got, c.prints)
			}
		})
	}
}

// Lines of standard input change the channels, and their end changes nothing. A channel that is refused
// then does not end the sub.
func TestSubChangesChannels(t *testing.T) {
	url := conversing(t, func(c talk) {
		c.say(welcome, `{"type":"subscribed","channel":"a"}`)
		for _, step := range []struct{ hears, says string }{
			{`{"type":"subscribe","ref":1,"channel":"c"}`, `{"type":"subscribed","ref":1,"channel":"c"}`},
			{`{"type":"unsubscribe","ref":2,"channel":"a"}`, `{"type":"unsubscribed","ref":2,"channel":"a"}`},
			{`{"type":"subscribe","ref":3,"channel":"__x"}`, `{"type":"error","ref":3,"status":403,"code":"channel_reserved","detail":"Reserved."}`},
		} {
			if got := c.hear(); got != step.hears {
				t.Errorf("heard %s, want %s", got, step.hears)
			}
			c.say(step.says)
		}
		c.say(message("c", "hola", ""))
		c.over()
	})
	stdin, w := io.Pipe()
	defer w.Close()
	go func() {
		_, _ = io.WriteString(w, "+c\n")
		_, _ = io.WriteString(w, "\nc\n-b\n-a\n+c\n+__x\n")
		_ = w.Close()
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errs bytes.Buffer
	if code := pregon.Run(ctx, []string{"sub", "a", "--url", url}, stdin, &out, &errs); code != 1 || out.String() != "[c] hola\n" {
		t.Errorf("exit %d, %q", code, out.String())
	}
	for _, line := range []string{
		"listening to c", "not understood: c (write +CHANNEL to listen to a channel, too, and -CHANNEL to leave one)", "not listening to b",
		"not listening to a any more", "listening to c already", "__x: the server answered 403 Forbidden: Reserved", wasOver,
	} {
		if strings.Count(errs.String(), "pregon: "+line+"\n") != 1 {
			t.Errorf("it is not told once that %q: %q", line, errs.String())
		}
	}
}

// A channel of the command line that is refused ends the sub, as does the last one that the server takes away; of
// others it is told, and what is only not possible now is tried again.
func TestSubOfRefusedChannels(t *testing.T) {
	denied := func(kind, channel string) string {
		return `{"type":"` + kind + `","channel":"` + channel + `","status":403,"code":"forbidden","detail":"No."}`
	}
	const says = ": the server answered 403 Forbidden: No"
	for name, c := range map[string]struct {
		talk  func(c talk)
		tells []string
	}{
		"refused":        {func(c talk) { c.say(welcome, denied("error", "b")); c.hear() }, []string{"subscribe: b" + says}},
		"taken away":     {func(c talk) { c.say(welcome, denied("unsubscribed", "b")); c.over() }, []string{"b" + says, wasOver}},
		"all taken away": {func(c talk) { c.say(welcome, denied("unsubscribed", "b"), denied("unsubscribed", "a")); c.hear() }, []string{"b" + says, "a" + says}},
		"not now": {func(c talk) {
			c.say(welcome, `{"type":"error","channel":"b","status":503,"code":"not_subscribed","detail":"Not now.","retry":1}`)
			if got := c.hear(); got != `{"type":"subscribe","ref":1,"channel":"b"}` {
				t.Error("heard", got)
			}
			c.over()
		}, []string{"b: the server answered 503 Service Unavailable: Not now; trying again", wasOver}},
		"no credential": {func(c talk) {
			c.say(`{"type":"error","status":401,"code":"unauthorized","detail":"Who is there?"}`)
			c.close(4009, "unauthorized")
		}, []string{"subscribe: the server answered 401 Unauthorized: Who is there?; --token-file brings a key or a token"}},
		"too much": {func(c talk) { c.say(welcome); c.close(1008, "") }, []string{"the server has closed the connection with 1008"}},
	} {
		t.Run(name, func(t *testing.T) {
			told(t, nil, []string{"a", "b", "--url", conversing(t, c.talk)}, 1, c.tells...)
		})
	}
}

// A sub comes back after all that does not forbid it, continues each channel behind the last cursor, of messages and of the
// beginning, and tells that it is back.
func TestSubComesBackLive(t *testing.T) {
	start := `{"type":"subscribed","channel":"b","id":"` + cursor("b", 7) + `"}`
	since := func(c talk, want ...string) {
		if got := c.r.URL.Query()["since"]; !cmp.Equal(got, want) {
			t.Errorf("came back since %q, want %q", got, want)
		}
		c.say(welcome)
	}
	url := conversing(t,
		func(c talk) { since(c); c.say(message("a", "uno", cursor("a", 1)), start); c.close(4000, "draining") },
		func(c talk) { since(c, inOrder(cursor("a", 1), cursor("b", 7))...); c.close(1001, "") },
		func(c talk) { since(c, inOrder(cursor("a", 1), cursor("b", 7))...); _ = c.ws.NetConn().Close() },
		func(c talk) { since(c, inOrder(cursor("a", 1), cursor("b", 7))...); c.over() },
	)
	const again = "connected again"
	told(t, nil, []string{"a", "b", "--url", url}, 1,
		"the server has closed the connection with 4000: draining; connecting again", again,
		"the server has closed the connection with 1001; connecting again", again,
		"the connection was lost; connecting again", again, wasOver)
}

// inOrder returns cursors as they stand in a query.
func inOrder(cursors ...string) []string {
	slices.Sort(cursors)
	return cursors
}

// A server that falls silent for twice the time between its pings is not there any more.
func TestSubNoticesSilence(t *testing.T) {
	url := conversing(t,
		func(c talk) { c.say(`{"type":"welcome","ping":0.01}`); c.hear() },
		func(c talk) { c.say(welcome); c.over() })
	told(t, nil, []string{"a", "--url", url}, 1,
		"nothing has come from the server for too long; connecting again", "connected again", wasOver)
}

// The token is read again for each connection, and renewed before it expires if there is another one by then.
func TestSubRenewsItsToken(t *testing.T) {
	file := written(t, "token", "first")
	replace := func(with string) {
		if err := os.WriteFile(file, []byte(with), 0o600); err != nil {
			t.Error(err)
		}
	}
	brings := func(c talk, want string) {
		if got := c.r.Header.Get("Authorization"); got != "Bearer "+want {
			t.Errorf("the credential is %q", got)
		}
	}
	url := conversing(t, func(c talk) {
		brings(c, "first")
		replace("second")
		c.say(`{"type":"welcome","ping":25,"ttl":0.1}`)
		if got := c.hear(); got != `{"type":"renew","ref":1,"token":"second"}` {
			t.Error("heard", got)
		}
		replace("third")
		c.say(`{"type":"renewed","ref":1,"ttl":600}`)
		c.close(4009, "expired")
	}, func(c talk) { brings(c, "third"); c.say(welcome); c.over() })
	told(t, nil, []string{"a", "--token-file", file, "--url", url}, 1,
		"the server has closed the connection with 4009: expired; connecting again", "connected again", wasOver)
}

// Where no WebSocket gets through, whatever that looks like, sub listens to an event stream, and changes its
// channels by opening another one.
func TestSubFallsBackToStreams(t *testing.T) {
	for name, live := range map[string]http.HandlerFunc{
		"an old server":           problem(404, "not_found", "Nothing."),
		"headers are dropped":     problem(400, "bad_handshake", "No handshake."),
		"a proxy does not let it": page(403),
		"it is cut":               cut,
		"nothing follows": func(w http.ResponseWriter, r *http.Request) {
			ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			_ = ws.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			stdin, w := io.Pipe()
			defer w.Close()
			url := quietly(t, false, func(rw http.ResponseWriter, r *http.Request) {
				channels := strings.Join(r.URL.Query()["channel"], " ")
				switch {
				case r.URL.Path == "/live":
					live(rw, r)
				case channels == "a":
					rw.Header().Set("Content-Type", "text/event-stream")
					_, _ = io.WriteString(rw, events(message("a", "uno", "")))
					_ = http.NewResponseController(rw).Flush()
					<-r.Context().Done()
				default:
					problem(403, "forbidden", channels)(rw, r)
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var out, errs bytes.Buffer
			printed := writerFunc(func(p []byte) (int, error) {
				go func() { _, _ = io.WriteString(w, "+b\n") }() // which is read once this is printed
				return out.Write(p)
			})
			code := pregon.Run(ctx, []string{"sub", "a", "--url", url}, stdin, printed, &errs)
			lines := strings.Split(strings.TrimSpace(errs.String()), "\n")
			if code != 1 || out.String() != "[a] uno\n" || len(lines) != 3 ||
				!strings.HasPrefix(lines[0], "pregon: no WebSocket gets through: ") || !strings.HasSuffix(lines[0], "; listening to an event stream instead") ||
				lines[1] != "pregon: messages may be missing here, as the event stream is opened anew" ||
				lines[2] != "pregon: subscribe: the server answered 403 Forbidden: a b" {
				t.Errorf("exit %d, %q, %q", code, out.String(), errs.String())
			}
		})
	}
}

// A writerFunc is a function that is an io.Writer.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
