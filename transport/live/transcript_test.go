package live_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/transport/live/livetest"
)

// The transcripts of testdata/live are conversations for the authors of clients: what stands in one is
// what a server answers, byte for byte. Its README.md says how they are read.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	const dir = "../../testdata/live"
	paths, err := filepath.Glob(dir + "/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal("no transcripts:", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			newReplayer(t).replay(string(text))
		})
	}
}

// A replayer replays one transcript.
type replayer struct {
	t       *testing.T
	site    *site
	clients map[string]*livetest.Client
	values  map[string]string // of the placeholders
	pending map[string][]string
	line    int
}

func newReplayer(t *testing.T) *replayer {
	r := &replayer{t: t, clients: map[string]*livetest.Client{}, values: map[string]string{}, pending: map[string][]string{}}
	for name := range grants {
		r.values["token "+name] = tokenOf(name)
	}
	return r
}

func (r *replayer) replay(text string) {
	for i, line := range strings.Split(text, "\n") {
		r.line = i + 1
		client, sign, rest := parseLine(line)
		if sign != "↕" {
			r.settle()
		}
		switch sign {
		case "→":
			r.clients[client].Send(r.filled(rest))
		case "←":
			r.match(rest, r.clients[client].Next())
		case "↕":
			r.pending[client] = append(r.pending[client], rest)
		case "=":
			r.do(client, strings.Fields(rest))
		}
	}
	r.settle()
}

// parseLine returns the parts of a line: whom it concerns, what it is, and what.
func parseLine(line string) (client, sign, rest string) {
	for _, sign := range []string{"→", "←", "↕", "="} {
		if before, rest, ok := strings.Cut(line, sign+" "); ok && !strings.Contains(before, "#") && len(strings.Fields(before)) <= 1 {
			return strings.TrimSpace(before), sign, rest
		}
	}
	return "", "", ""
}

// settle reads what may come in any order.
func (r *replayer) settle() {
	for client, wanted := range r.pending {
		for range len(wanted) {
			got := r.clients[client].Next()
			at := slices.IndexFunc(wanted, func(want string) bool { return r.pattern(want).MatchString(got) })
			if at < 0 {
				r.t.Fatalf("before line %d: got %s\nwant one of %q", r.line, got, wanted)
			}
			r.match(wanted[at], got)
			wanted = slices.Delete(wanted, at, at+1)
		}
		delete(r.pending, client)
	}
}

var placeholder = regexp.MustCompile(`<([a-z][a-z0-9 -]*)>`)

// pattern returns what want means: a placeholder that has a value stands for that, and any other for anything.
func (r *replayer) pattern(want string) *regexp.Regexp {
	b, at, seen := new(strings.Builder), 0, map[string]bool{}
	b.WriteString("^")
	for _, m := range placeholder.FindAllStringSubmatchIndex(want, -1) {
		b.WriteString(regexp.QuoteMeta(want[at:m[0]]))
		name := want[m[2]:m[3]]
		if value, known := r.values[name]; known {
			b.WriteString(regexp.QuoteMeta(value))
		} else if seen[name] {
			r.t.Fatalf("line %d: <%s> is there twice", r.line, name)
		} else {
			fmt.Fprintf(b, "(?P<%s>[^\",{}]+)", strings.NewReplacer(" ", "_", "-", "_").Replace(name))
		}
		seen[name], at = true, m[1]
	}
	return regexp.MustCompile(b.String() + regexp.QuoteMeta(want[at:]) + "$")
}

// match sees that got is what is wanted, and keeps the values of new placeholders.
func (r *replayer) match(want, got string) {
	r.t.Helper()
	p := r.pattern(want)
	found := p.FindStringSubmatch(strings.Replace(got, `,"complete":false`, "", 1)) // as nodes have it that are new
	if found == nil {
		r.t.Fatalf("line %d: got  %s\nwant %s", r.line, got, want)
	}
	for i, name := range p.SubexpNames() {
		if name != "" && name != "any" {
			r.values[name] = found[i]
		}
	}
}

var repeated = regexp.MustCompile(`<(\d+) x>`)

// filled returns text with the values of its placeholders.
func (r *replayer) filled(text string) string {
	text = repeated.ReplaceAllStringFunc(text, func(s string) string {
		n, _ := strconv.Atoi(repeated.FindStringSubmatch(s)[1])
		return strings.Repeat("x", n)
	})
	return placeholder.ReplaceAllStringFunc(text, func(s string) string { return cmp.Or(r.values[s[1:len(s)-1]], s) })
}

// do does what is no frame.
func (r *replayer) do(client string, words []string) {
	r.t.Helper()
	switch words[0] {
	case "server":
		r.site = start(r.t, kinds[words[1]]())
	case "connect":
		token := ""
		if len(words) == 4 {
			token = tokenOf(words[3])
		}
		r.clients[client] = livetest.Dial(r.t, "ws://"+r.site.addr+r.filled(words[1]), token)
	case "publish":
		r.request(http.MethodPost, "/publish/"+words[1], strings.Join(words[2:], " "))
	case "clear":
		r.request(http.MethodDelete, "/history/"+words[1], "")
	case "binary":
		if err := r.clients[client].WriteMessage(websocket.BinaryMessage, []byte(words[1])); err != nil {
			r.t.Fatal(err)
		}
	case "closed":
		frames, code, reason := r.clients[client].Closed()
		if want := strings.Join(words[1:], " "); len(frames) > 0 || strings.TrimSpace(fmt.Sprintf("%d %s", code, reason)) != want {
			r.t.Fatalf("line %d: got %q %d %s\nwant %s", r.line, frames, code, reason, want)
		}
	default:
		r.t.Fatalf("line %d: %s is not known", r.line, words[0])
	}
}

// request makes a request as the backend.
func (r *replayer) request(method, path, body string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, "http://"+r.site.addr+path, bytes.NewReader([]byte(body)))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header = http.Header{"Authorization": {"Bearer " + appKey}, "Content-Type": {"text/plain"}}
	if r.site.open {
		req.Header.Del("Authorization")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode >= 300 {
		r.t.Fatalf("line %d: %s %s", r.line, resp.Status, answer)
	}
}
