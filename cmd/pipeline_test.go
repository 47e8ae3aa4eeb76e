package cmd_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	pregon "github.com/pregon/pregon/cmd"
)

// published is the answer to the publish command with a ref.
func published(ref int) string {
	return fmt.Sprintf(`{"type":"published","ref":%d,"channel":"a","id":"id%[1]d"}`, ref)
}

// refusedAs is the answer where it is not published.
func refusedAs(ref, status int, code string) string {
	return fmt.Sprintf(`{"type":"error","ref":%d,"channel":"a","status":%d,"code":%q,"detail":"No."}`, ref, status, code)
}

// Lines are on their way together. Receipts are in the order of the lines, whatever the order of the answers; after
// the first line that is not accepted no more is sent, and it is told what became of those behind it.
func TestPubLinesLive(t *testing.T) {
	hear := func(c talk, refs ...int) {
		for _, ref := range refs {
			if got, want := c.hear(), fmt.Sprintf(`{"type":"publish","ref":%d,"channel":"a","data":"<%[1]d>"}`, ref); got != want {
				t.Errorf("heard %q, want %q", got, want)
			}
		}
	}
	const small = `{"type":"welcome","limits":{"message":4}}`
	for name, c := range map[string]struct {
		stdin  string
		talk   func(c talk)
		stdout string
		stderr string
	}{
		"all": {"<1>\n<2>\n<3>", func(c talk) {
			c.say(welcome)
			hear(c, 1, 2, 3)
			c.say(published(2), `{"type":"ping"}`, published(1), published(3))
			c.hear()
		}, "published a id1\npublished a id2\npublished a id3\n", ""},
		"none": {"", func(c talk) { t.Error("connected for nothing") }, "", ""},
		"one is refused": {"<1>\n<2>\n<3>\n<4>", func(c talk) {
			c.say(welcome)
			hear(c, 1, 2, 3, 4)
			c.say(published(1), refusedAs(2, 429, "too_fast"), published(3), refusedAs(4, 429, "too_fast"))
			c.hear()
		}, "published a id1\npublished a id3\n", "line 2: publish: the server answered 429 Too Many Requests: No; it was not published; of 2 behind it that were on their way, 1 were published"},
		"outcome unknown": {"<1>", func(c talk) { c.say(welcome); hear(c, 1); c.say(refusedAs(1, 504, "outcome_unknown")); c.hear() }, "",
			"line 1: publish: the server answered 504 Gateway Timeout: No; it may have been published"},
		"cut off": {"<1>\n<2>\n<3>", func(c talk) {
			c.say(welcome)
			hear(c, 1, 2, 3)
			c.say(published(1), published(3))
			c.close(4000, "draining")
		}, "published a id1\npublished a id3\n", "line 2: publish: the server has closed the connection with 4000: draining; it may have been published; of 1 behind it that were on their way, 1 were published"},
		"no UTF-8": {"<1>\n\xFF\n<3>", func(c talk) { c.say(welcome); hear(c, 1); c.say(published(1)); c.hear() }, "published a id1\n",
			"line 2: publish: the line is not UTF-8; it was not published"},
		"too long": {"<1>\n<222>", func(c talk) { c.say(small); hear(c, 1); c.say(published(1)); c.hear() }, "published a id1\n",
			"line 2: publish: the line is longer than the 4 bytes that the server takes; it was not published"},
		"no credential": {"<1>", func(c talk) {
			c.say(`{"type":"error","status":401,"code":"unauthorized","detail":"Who?"}`)
			c.close(4009, "unauthorized")
		}, "", "line 1: publish: the server answered 401 Unauthorized: Who?; --token-file brings a key or a token; it was not published"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := run(t, c.stdin, "pub", "a", "-", "--url", conversing(t, c.talk))
			if c.stderr != "" {
				c.stderr = "pregon: " + c.stderr + "\n"
			}
			if stdout != c.stdout || stderr != c.stderr || (code != 0) != (c.stderr != "") {
				t.Errorf("exit %d, %q, %q; want %q and %q", code, stdout, stderr, c.stdout, c.stderr)
			}
		})
	}
}

// A connection that ends while no line is on its way is no failure: the next line makes another, with what is in
// the token file then.
func TestPubConnectsAgainForTheNextLine(t *testing.T) {
	stdin, w := io.Pipe()
	defer w.Close()
	answer := func(c talk) {
		c.say(welcome)
		c.hear()
		c.say(published(1))
	}
	url := conversing(t, func(c talk) {
		answer(c)
		c.close(4000, "draining")
		_, _ = io.Copy(io.Discard, c.ws.NetConn()) // until the client has noticed
		go func() { _, _ = io.WriteString(w, "dos\n") }()
	}, func(c talk) { answer(c); c.hear() })
	go func() { _, _ = io.WriteString(w, "uno\n") }()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errs bytes.Buffer
	count := 0
	printed := writerFunc(func(p []byte) (int, error) {
		if count++; count == 2 {
			go func() { _ = w.Close() }()
		}
		return out.Write(p)
	})
	if code := pregon.Run(ctx, []string{"pub", "a", "-", "--url", url}, stdin, printed, &errs); code != 0 || strings.Count(out.String(), "published a id1") != 2 {
		t.Errorf("exit %d, %q, %q", code, out.String(), errs.String())
	}
}
