package cmd_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	pregon "github.com/pregon/pregon/cmd"
)

// The members of a channel are printed as a table or one JSON object, all pages together, and what is
// not certain of the list is told.
func TestMembers(t *testing.T) {
	pages := map[string]string{
		"":    `{"channel":"room 1","count":3,"members":[{"sub":"ana","info":{"name":"Ana <3"},"connections":2},{"sub":"e&a","connections":1}],"more":true}`,
		"e&a": `{"channel":"room 1","count":3,"members":[{"sub":"zoë\u001b[2J","connections":1}]}`,
	}
	url := quietly(t, false, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/presence/room 1" {
			t.Errorf("asked for %s", r.URL)
		}
		_, _ = io.WriteString(w, pages[r.URL.Query().Get("after")])
	})
	code, stdout, stderr := run(t, "", "members", "room 1", "--url", url)
	want := "SUBJECT         CONNECTIONS  INFO\nana             2            {\"name\":\"Ana <3\"}\ne&a             1            \nzoë\\u001b[2J  1            \n"
	if strings.ReplaceAll(stdout, " ", "") != strings.ReplaceAll(want, " ", "") || code != 0 || stderr != "" {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
	code, stdout, stderr = run(t, "", "members", "room 1", "--json", "--url", url)
	want = `{"channel":"room 1","count":3,"members":[{"sub":"ana","info":{"name":"Ana <3"},"connections":2},{"sub":"e&a","connections":1},{"sub":"zoë\u001b[2J","connections":1}]}` + "\n"
	if stdout != want || code != 0 || stderr != "" {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
}

// What members cannot tell, or not for certain, it says.
func TestMembersInDoubt(t *testing.T) {
	list := func(rest string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"channel":"chat",%s}`, rest) }
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		code   int
		says   string
	}{
		"nobody":     {list(`"count":0,"members":[]`), 0, "nobody is there"},
		"incomplete": {list(`"count":1,"members":[{"sub":"ana","connections":1}],"complete":false`), 0, "some node has not said yet who is there: others may be missing"},
		"moving":     {list(`"count":2,"members":[{"sub":"ana","connections":1}]`), 0, "some have come or left meanwhile: 2 are there now"},
		"no rule":    {problem(403, "no_presence", "Its rule has no presence."), 1, "members: the server answered 403 Forbidden: Its rule has no presence"},
		"no key":     {problem(401, "unauthorized", "Who?"), 1, "members: the server answered 401 Unauthorized: Who?; --token-file brings a key or a token"},
		"no pregon":  {page(200), 1, "members: the answer is no list of members: is --url the address of a pregon?"},
		"endless":    {list(`"count":2,"members":[],"more":true`), 0, "some have come or left meanwhile: 2 are there now"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := run(t, "", "members", "chat", "--url", quietly(t, false, c.answer))
			if code != c.code || stderr != "pregon: "+c.says+"\n" {
				t.Errorf("exit %d, %q", code, stderr)
			}
		})
	}
}

// Members of a running server are those who listen with a subject: sub tells them to itself, and
// members lists them.
func TestMembersOfAServer(t *testing.T) {
	secret := written(t, "secret", tokenSecret)
	url := serve(t, "--broker", "memory://", "--jwt-key", secret)
	_, minted, _ := run(t, "", "token", "--jwt-key", secret, "--sub", "ana", "--subscribe", "chat", "--info", `{"name":"Ana"}`)
	flags := []string{"--url", url, "--token-file", written(t, "token", minted)}
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- pregon.Run(ctx, append([]string{"sub", "chat", "--members"}, flags...), nil, io.Discard, w)
		_ = w.Close()
	}()
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if strings.Contains(lines.Text(), "ana") {
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	code, stdout, stderr := run(t, "", append([]string{"members", "chat"}, flags...)...)
	if code != 0 || !strings.HasSuffix(stdout, "\nana      1            {\"name\":\"Ana\"}\n") {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("sub exited with %d", code)
	}
}
