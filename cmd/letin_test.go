package cmd_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/server/access/token"
)

// isUsed reports as errors where a token of the chapter lets in too few, or too many.
func (r *reader) isUsed(t *testing.T, token string) {
	t.Helper()
	for _, v := range []visit{
		{path: "/sse/room.7", bearer: token, status: http.StatusOK},
		{path: "/sse/room.7?token=" + token, status: http.StatusOK},
		{path: "/sse/room.7.8", bearer: token, status: http.StatusForbidden},
		{path: "/sse/other", bearer: token, status: http.StatusForbidden},
		{path: "/publish/room.7?message=a", bearer: token, status: http.StatusForbidden},
		{path: "/sse/room.7", status: http.StatusUnauthorized},
	} {
		r.visit(t, v)
	}
}

// makers run a sample that makes a token, by the ending of its file.
var makers = map[string]string{".js": "node", ".py": "python3", ".php": "php", ".go": "go run"}

// makeToken runs a sample and uses its token.
func (r *reader) makeToken(t *testing.T, file string) {
	t.Helper()
	program := makers[filepath.Ext(file)]
	needs(t, strings.Fields(program)[0])
	r.isUsed(t, r.run(t, program+" "+file))
}

// needs skips a test where a program is not installed, which in CI is a failure.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("missing:", program)
	}
	t.Skip("missing:", program)
}

// inNode goes ahead of the page's script: what the application and the browser are for it.
// Node has a WebSocket of its own from version 22 on.
const inNode = `import { createRequire } from "node:module"
import { readFileSync } from "node:fs"
globalThis.WebSocket ??= createRequire(import.meta.url)("ws")
const token = readFileSync("token", "utf8").trim()
`

// openPage runs the page's script, which listens twice.
func (r *reader) openPage(t *testing.T, text string) {
	t.Helper()
	needs(t, "node")
	if os.Getenv("CI") == "" && exec.Command("node", "-e", `globalThis.WebSocket ?? require("ws")`).Run() != nil {
		t.Skip("missing: Node 22, or npm install ws and NODE_PATH")
	}
	r.write(t, "page.mjs", inNode+text)
	r.heard = r.listen(t, r.command("exec node page.mjs"))
	key := r.read(t, "pregon.key")
	publish := func() {
		r.visit(t, visit{path: "/publish/room.7?message=Hola", bearer: key, status: http.StatusOK})
	}
	r.until(t, "socket: [room.7] Hola", publish)
	r.until(t, "data: Hola", publish) // of the stream
}

var (
	fenced   = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")
	fileName = regexp.MustCompile(`^[^\n]*?(?:#|//) ([a-z]+\.[a-z]+)\n`)
)

// Every block of the chapter works as it stands: commands succeed, samples make tokens that
// let in as far as they say and no further, and the page hears.
func TestLetPeopleIn(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	r := newReader(t)
	chapter := section(t, read(t, "server/README.md"), "## Let people in")
	for _, block := range fenced.FindAllStringSubmatch(chapter, -1) {
		language, text := block[1], block[2]
		name := fileName.FindStringSubmatch(text)
		switch {
		case language == "sh":
			for line := range strings.Lines(text) {
				r.do(t, strings.TrimSpace(line))
			}
		case name == nil:
			quotes(t, "server/example_access_test.go", text)
		case name[1] == "page.mjs":
			t.Run(name[1], func(t *testing.T) { r.openPage(t, r.here(text)) })
		case makers[filepath.Ext(name[1])] != "":
			r.write(t, name[1], text)
			t.Run(name[1], func(t *testing.T) { r.makeToken(t, name[1]) })
		default:
			r.write(t, name[1], text)
		}
	}
	r.isUsed(t, r.read(t, "token"))
	r.tryRules(t)
	r.tryReasons(t)
}

// quotes reports where a text is not part of a file, spaces at the ends of lines aside.
func quotes(t *testing.T, file, text string) {
	t.Helper()
	plain := func(text string) (lines string) {
		for line := range strings.Lines(text) {
			lines += strings.TrimSpace(line) + "\n"
		}
		return lines
	}
	if !strings.Contains(plain(read(t, file)), plain(text)) {
		t.Errorf("%s has not this part of the chapter, so it is not tested:\n%s", file, text)
	}
}

// tryRules holds the example of rules to what is said of it.
func (r *reader) tryRules(t *testing.T) {
	t.Helper()
	ana, app, reports := r.read(t, "token"), r.read(t, "pregon.key"), r.read(t, "reports.key")
	for _, v := range []visit{
		{path: "/sse/news.spain", status: http.StatusOK},
		{path: "/sse/user.ana", bearer: ana, status: http.StatusOK},
		{path: "/sse/user.ana.inbox", bearer: ana, status: http.StatusOK},
		{path: "/sse/user.eva", bearer: ana, status: http.StatusForbidden},
		{path: "/publish/news.spain?message=a", bearer: ana, status: http.StatusForbidden},
		{path: "/publish/anything?message=a", bearer: app, status: http.StatusOK},
		{path: "/sse/anything", bearer: app, status: http.StatusOK},
		{path: "/publish/report.a.b?message=a", bearer: reports, status: http.StatusOK},
		{path: "/publish/news.spain?message=a", bearer: reports, status: http.StatusForbidden},
		{path: "/sse/report.a", bearer: reports, status: http.StatusForbidden},
		{path: "/sse/room.7?token=" + app, status: http.StatusUnauthorized},
		{path: "/sse/room.7", header: []string{"Cookie", "rt=" + ana, "Origin", "https://app.example.com"}, status: http.StatusOK},
		{path: "/sse/room.7", header: []string{"Cookie", "rt=" + ana, "Origin", "https://rt.example.com"}, status: http.StatusOK},
		{path: "/sse/room.7", header: []string{"Cookie", "rt=" + ana, "Origin", "https://evil.example"}, status: http.StatusForbidden},
		{path: "/sse/room.7", header: []string{"Cookie", "rt=" + ana, "Sec-Fetch-Site", "cross-site"}, status: http.StatusUnauthorized},
	} {
		r.visit(t, v)
	}
}

// tryReasons holds the table of refusals to the log: what it says is there, word for word.
func (r *reader) tryReasons(t *testing.T) {
	t.Helper()
	r.serve(t, "pregon --listen :8000 --config pregon.yaml") // whose log has room for all of it
	ana := r.read(t, "token")
	for _, v := range []visit{
		{path: "/sse/room.7", status: http.StatusUnauthorized},
		{path: "/sse/room.7", bearer: r.mint(t, "jwt-secret", -time.Minute), status: http.StatusUnauthorized},
		{path: "/sse/room.7", bearer: r.mint(t, "reports.key", time.Hour), status: http.StatusUnauthorized},
		{path: "/sse/room.7", bearer: strings.Repeat("a", 20), status: http.StatusUnauthorized},
		{path: "/publish/room.7?message=a", bearer: ana, status: http.StatusForbidden},
		{path: "/sse/other", bearer: ana, status: http.StatusForbidden},
		{path: "/sse/room.7", header: []string{"Origin", "https://evil.example"}, status: http.StatusForbidden},
		{path: "/sse/room.7", header: []string{"Host", "evil.example"}, status: http.StatusMisdirectedRequest},
		{path: "/sse/room.7?token=" + ana, bearer: ana, status: http.StatusBadRequest},
		{path: "/ws/room.7", bearer: ana, status: http.StatusBadRequest},
		{path: "/ws/room.7", status: http.StatusUnauthorized}, // a plain GET, as the text says
	} {
		r.visit(t, v)
	}
	log, said := r.read(t, "log"), 0
	for line := range strings.Lines(section(t, read(t, "server/README.md"), "## Why was I refused?")) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || strings.Contains(cells[1], "open_behind_proxy") || strings.Contains(cells[1], "issuer_unavailable") {
			continue // which this server does not say
		}
		for _, phrase := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[2], -1) {
			said++
			if !strings.Contains(log, phrase[1]) {
				t.Errorf("the log has not %q", phrase[1])
			}
		}
	}
	if said < 5 {
		t.Errorf("the table has only %d reasons of the log", said)
	}
}

// mint returns a token that is signed with the secret in a file.
func (r *reader) mint(t *testing.T, file string, valid time.Duration) string {
	t.Helper()
	raw, err := token.Mint([]byte(r.read(t, file)), token.Draft{Subject: "ana", Expires: time.Now().Add(valid)})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
