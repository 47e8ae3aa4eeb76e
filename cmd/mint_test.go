package cmd_test

import (
	"strings"
	"testing"
)

// A token that no server would take for its length is not made where that is known, and
// otherwise comes with a note.
func TestTokenOfTooLong(t *testing.T) {
	secret := written(t, "secret", tokenSecret)
	file := func(more string) string {
		return written(t, "pregon.yaml", "tokens: [{secret-file: "+secret+more+"}]\n")
	}
	for _, c := range []struct {
		args string
		code int
		note string
	}{
		{"--jwt-key " + secret + " --for 24h", 0, ""},
		{"--jwt-key " + secret + " --for 48h", 0, "servers take tokens of at most 24h, unless"},
		{"--config " + file("") + " --for 24h", 0, ""},
		{"--config " + file("") + " --for 48h", 2, "--for: the server takes tokens of at most 24h (max-age in"},
		{"--config " + file(", max-age: 1h") + " --for 2h", 2, "--for: the server takes tokens of at most 1h (max-age in"},
		{"--config " + file(", max-age: 72h") + " --for 48h", 0, ""},
		{"--config " + file(", expires: never") + " --for 1000h", 0, ""},
	} {
		code, stdout, stderr := run(t, "", append([]string{"token", "--sub", "ana"}, strings.Fields(c.args)...)...)
		if code != c.code || (stdout == "") != (c.code != 0) || !strings.Contains(stderr, c.note) || (stderr == "") != (c.note == "") {
			t.Errorf("%s: exit %d, %q; want %d and %q", c.args, code, stderr, c.code, c.note)
		}
	}
}
