package cmd_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	goodKey     = "k3y-Zb9sTq-40fUxWmRaLd"
	tokenSecret = "f81d4fae7dec11d0a76500a0c91e6bf6e2"
)

// written writes a file that only the user can read, and returns its path.
func written(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Where others may reach it, a server on which everyone may publish does not start: it says
// in two lines how to go on, with the command that was typed.
func TestExposure(t *testing.T) {
	for args, why := range map[string]string{
		"--listen 0.0.0.0:0":                              "0.0.0.0:0 is not a loopback address",
		"serve --listen :0":                               ":0 is not a loopback address",
		"--listen :0 --broker memory://":                  ":0 is not a loopback address",
		"--host rt.example.com --listen localhost:0":      "with --host",
		"--acme a.example --acme-dir x":                   "with --acme",
		"--trust-proxy 10.0.0.0/8 --listen 127.0.0.1:0":   "with --trust-proxy",
		"--listen 0.0.0.0:0 --broker redis://:s3cret@h:1": "0.0.0.0:0",
	} {
		code, stdout, stderr := run(t, "", strings.Fields(args)...)
		typed := strings.ReplaceAll(args, ":s3cret@", "xxxxx@")
		var lines []string
		for line := range strings.Lines(stderr) {
			if strings.HasPrefix(line, "pregon: ") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		if code != 2 || stdout != "" || len(lines) != 2 || strings.Contains(stderr, "s3cret") {
			t.Errorf("%s: exit %d, %q", args, code, stderr)
			continue
		}
		if !strings.Contains(lines[0], why) || !strings.HasSuffix(lines[0], "pregon "+typed+" --publish-key @pregon.key") || !strings.HasSuffix(lines[1], "pregon "+typed+" --open") {
			t.Errorf("%s: %q", args, lines)
		}
	}
	// The parameters of a URL may be secrets.
	for args, typed := range map[string]string{
		"--broker redis://u:s3cret@h/0?secret=s3cret": "--broker 'redis://xxxxx@h/0?xxxxx'",
		"--broker=redis://h/0?secret=s3cret":          "'--broker=redis://h/0?xxxxx'",
	} {
		_, _, stderr := run(t, "", append(strings.Fields(args), "--listen", ":0")...)
		if strings.Contains(stderr, "s3cret") || !strings.Contains(stderr, "pregon "+typed+" --listen :0 --open") {
			t.Errorf("%s: %q", args, stderr)
		}
	}
	t.Setenv("PREGON_LISTEN", "0.0.0.0:0")
	if code, _, stderr := run(t, ""); code != 2 || strings.Count(stderr, "\n") != 2 {
		t.Errorf("exit %d, %q", code, stderr)
	}
	// Words that a shell would read otherwise are in quotes.
	if _, _, stderr := run(t, "", "--allow-origin", "*"); !strings.Contains(stderr, `pregon --allow-origin '*' --open`) {
		t.Error(stderr)
	}
}

// What says who may publish, --open, and a loopback address let it start.
func TestNoExposure(t *testing.T) {
	key, secret, file := written(t, "key", goodKey+"\n"), written(t, "secret", tokenSecret+"\n"), written(t, "pregon.yaml", "rules: []\n")
	for _, args := range []string{
		"--open", "--publish-key @" + key, "--jwt-key " + secret, "--config " + file, "--jwks https://id.invalid/ --issuer a --audience b",
	} {
		// It gets as far as the broker, which is none.
		code, _, stderr := run(t, "", append(strings.Fields(args), "--listen", "0.0.0.0:0", "--host", "rt.example.com", "--broker", "nope://")...)
		if code != 2 || !strings.Contains(stderr, "nope") || strings.Contains(stderr, "pregon.key") {
			t.Errorf("%s: exit %d, %q", args, code, stderr)
		}
	}
	for _, listen := range []string{"localhost:0", "127.0.0.1:0", "[::1]:0", "127.9.9.9:0"} {
		if code, _, stderr := run(t, "", "--listen", listen, "--broker", "nope://"); code != 2 || !strings.Contains(stderr, "nope") {
			t.Errorf("%s: exit %d, %q", listen, code, stderr)
		}
	}
}

// Flags about who may that cannot be meant are refused, and no secret is shown.
func TestMistakesOfAccess(t *testing.T) {
	key, secret, short := written(t, "key", goodKey), written(t, "secret", tokenSecret), written(t, "short", "s3cret")
	file := written(t, "pregon.yaml", "max-message: 10\n")
	good := written(t, "good.yaml", "max-message: 2MiB\n")
	broken := written(t, "broken.yaml", "keys:\n- {name: a, file: none}\nruels: []\nmax-message: s3cret\n")
	empty, twice := written(t, "empty.yaml", "# rules:\n"), written(t, "twice.yaml", "keys: [{name: a, file: "+key+"}]")
	private := filepath.Join("..", "server", "config", "testdata", "secrets", "private.pem")
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"--publish-key s3cretS3cretS3cretS3cret", 2, "write @FILE"},
		{"--publish-key @nope", 2, "read nope: no such file"},
		{"--publish-key @" + short, 2, "pregon: --publish-key: the key has fewer than 20 characters"},
		{"--jwt-key " + short, 2, "pregon: --jwt-key: a secret of 6 bytes"},
		{"--jwt-key " + private, 2, "private key"},
		{"--jwt-key " + key, 2, "at least 32"},
		{"--jwks https://id.example.com/", 2, "--issuer and --audience"},
		{"--jwks http://id.example.com/?s3cret --issuer a --audience b", 2, "pregon: --jwks: the JWKS is not an https URL"},
		{"--issuer a", 2, "--jwks or --jwt-key"},
		{"--open --publish-key @" + key, 2, "--open"},
		{"--open --config " + good, 2, "--open"},
		{"--open --jwt-key " + secret, 2, "--open"},
		{"--trust-proxy 10.0.0.1/8", 2, "--trust-proxy"},
		{"--config nope.yaml", 2, "nope.yaml: no such file"},
		{"--config " + file, 2, "line 1, column 14: --max-message: must be at least 126 bytes"},
		{"--config " + broken, 2, "line 4, column 14: max-message: write a number of bytes"},
		{"check " + broken, 2, "line 3, column 1: unknown key ruels; did you mean rules?"},
		{"check nope.yaml", 2, "nope.yaml"},
		{"check x --action publish", 2, "--channel"},
		{"check x --channel a//b", 2, "--channel"},
		{"check x --channel=", 2, "pregon: --channel: the name is empty"},
		{"check x --channel a --action=", 2, "write subscribe or publish"},
		{"check x --channel a --action listen", 2, "write subscribe or publish"},
		{"check " + empty, 2, empty + ": the file is empty; write {}"},
		{"--config " + empty, 2, empty + ": the file is empty; write {}"},
		{"check " + good + " --channel a --token-file " + key, 1, "pregon: --token-file: an unknown key"},
		{"--config " + twice + " --publish-key @" + key, 2, "pregon: two keys have the same secret"},
		{"token --sub a", 2, "pregon: --jwt-key or --config: one is needed"},
		{"token --jwt-key " + short, 2, "pregon: --jwt-key: a secret of 6 bytes: too weak: at least 32"},
		{"token --jwt-key " + secret + " --subscribe a*", 2, `pregon: --subscribe: "*" and braces`},
		{"token --jwt-key " + secret + " --for 0", 2, "--for"},
		{"token --jwt-key " + secret + " --info {", 2, "pregon: the token is not valid: not valid UTF-8, or the info is not JSON"},
		{"token --config " + written(t, "e.yaml", "rules: []"), 2, "secret-file"},
		{"token --sub a --jwt-key " + secret + " --config " + good, 2, "give only one of them"},
		{"pub a b --token-file nope", 1, "nope"},
		{"sub a --token-file " + written(t, "two", "s3cret s3cret"), 1, "in one line"},
		{"sub a --ca " + key, 1, "no certificate"},
	} {
		code, stdout, stderr := run(t, "", strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit %d, %q; want %d and %q", c.args, code, stderr, c.code, c.says)
		}
		if strings.Contains(stdout+stderr, "s3cret") {
			t.Errorf("%s: a secret is shown: %q", c.args, stdout+stderr)
		}
	}
}

// Every flag that is no list can stand in a file, and a value that it cannot have is told with
// its place and not shown.
func TestSettingsOfFile(t *testing.T) {
	_, help, _ := run(t, "", "serve", "--help")
	named := []string{"broker", "cookie", "listen"} // which take any text so far
	refused := 0
	for _, flag := range distinct(regexp.MustCompile(`(?m)^ +--([a-z-]+)`), help) {
		switch flag {
		case "config", "open", "publish-key", "jwt-key", "jwks", "issuer", "audience", "allow-origin", "host", "trust-proxy", "tls-cert", "tls-key", "tls-ticket-key", "admin", "redirect", "acme", "acme-dir", "acme-email", "acme-directory", "acme-ca":
			continue
		}
		file := written(t, "pregon.yaml", flag+": s3cret\n")
		code, _, stderr := run(t, "", "--config", file, "--listen", "localhost:0", "--broker", "nope://")
		if slices.Contains(named, flag) {
			continue
		}
		refused++
		if code != 2 || !strings.Contains(stderr, fmt.Sprintf("line 1, column %d: %s: ", len(flag)+3, flag)) || strings.Contains(stderr, "s3cret") {
			t.Errorf("%s: exit %d, %q", flag, code, stderr)
		}
	}
	if refused < 14 {
		t.Errorf("only %d flags were looked at", refused)
	}
}

// Of scalars a flag counts more than the environment, and that more than the file.
func TestPrecedence(t *testing.T) {
	file := written(t, "pregon.yaml", "broker: file://\nmax-message: 2MiB\ncompress: true\nhistory: 5m\n")
	says := func(want string, args ...string) {
		t.Helper()
		if code, _, stderr := run(t, "", append([]string{"--config", file, "--listen", "localhost:0"}, args...)...); code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("exit %d, %q; want %q", code, stderr, want)
		}
	}
	says("file")
	// A file that it names is relative to its folder.
	files := written(t, "tls.yaml", "tls-cert: nope.pem\ntls-key: nope.pem\n")
	if code, _, stderr := run(t, "", "--config", files, "--listen", "localhost:0", "--broker", "memory://"); code != 1 || !strings.Contains(stderr, filepath.Join(filepath.Dir(files), "nope.pem")) {
		t.Errorf("exit %d, %q", code, stderr)
	}
	t.Setenv("PREGON_BROKER", "variable://")
	says("variable")
	says("typed", "--broker", "typed://")
}

// check and the server say where anyone may listen because neither rules nor tokens were written,
// and check, which knows the file alone, that flags may say more. "tokens: []" is something written.
func TestAnyoneMayListenIsTold(t *testing.T) {
	key, secret := written(t, "key", goodKey), written(t, "secret", tokenSecret)
	const warning = "anyone may listen to everything, as there are neither rules nor tokens"
	keys := "keys: [{name: app, file: " + key + "}]\n"
	open, nobody := written(t, "open.yaml", keys), written(t, "nobody.yaml", keys+"tokens: []\n")
	some := written(t, "some.yaml", "tokens: [{secret-file: "+secret+"}]\n")
	const serve = " --listen localhost:0 --broker nope:// --config "
	for args, told := range map[string][2]bool{
		"check " + open:        {true, true},
		"check " + nobody:      {false, true},
		"check " + some:        {false, false},
		"serve" + serve + open: {true, false},
		"serve --publish-key @" + key + serve + open: {true, false},
		"serve --jwt-key " + secret + serve + open:   {false, false},
		"serve" + serve + nobody:                     {false, false},
	} {
		_, stdout, stderr := run(t, "", strings.Fields(args)...)
		if got := [2]bool{strings.Contains(stdout+stderr, warning), strings.Contains(stdout, "--jwt-key or --jwks are not looked at")}; got != told {
			t.Errorf("%s: %q %q", args, stdout, stderr)
		}
	}
	for file, code := range map[string]int{open: 0, nobody: 1} {
		if got, stdout, _ := run(t, "", "check", file, "--channel", "a", "--action", "subscribe"); got != code {
			t.Errorf("exit %d, %q", got, stdout)
		}
	}
}

// A key is printed alone, is another each time, and is good.
func TestKey(t *testing.T) {
	_, one, how := run(t, "", "key")
	_, two, _ := run(t, "", "key")
	if one == two || len(one) != 44 || strings.Trim(one, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_\n") != "" || !strings.Contains(how, "--publish-key") || strings.Contains(how, strings.TrimSpace(one)) {
		t.Errorf("%q, %q, %q", one, two, how)
	}
	key := written(t, "key", one)
	if code, _, stderr := run(t, "", "--listen", "0.0.0.0:0", "--broker", "nope://", "--publish-key", "@"+key, "--jwt-key", key); code != 2 || !strings.Contains(stderr, "nope") || strings.Contains(stderr, "WARN") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

// check says in words which rule counts, and what somebody may.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"key": goodKey, "secret": tokenSecret,
		"pregon.yaml": `keys:
- {name: app, file: key, publish: ["room.*"]}
tokens:
- {secret-file: secret, issuer: us, claim: rt}
rules:
- {channels: ["news.*"], subscribe: anyone}
- {channels: ["room.*"], subscribe: grant, publish: grant}
- {channels: ["user.{sub}.**"], subscribe: token}
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "pregon.yaml")
	code, minted, stderr := run(t, "", "token", "--config", file, "--sub", "ana", "--subscribe", "room.*")
	if code != 0 || strings.Count(minted, ".") != 2 {
		t.Fatalf("exit %d, %q", code, stderr)
	}
	token, key := written(t, "token", minted), filepath.Join(dir, "key")
	for _, c := range []struct {
		args string
		code int
		says []string
	}{
		{"", 0, []string{"is good: 1 key, 1 issuer of tokens, 3 rules", `line 8, column 15: user.{sub}.** covers`}},
		{"--channel news.a", 0, []string{"news.a, with no credential:", "may subscribe: the rule in line 6 for news.* allows anyone", "may not publish: the rule in line 6"}},
		{"--channel news.a --action publish", 1, nil},
		{"--channel news.a --action subscribe", 0, nil},
		{"--channel room.7", 1, []string{"may not subscribe: the rule in line 7 for room.* asks for a token"}},
		{"--channel room.7 --token-file " + token, 0, []string{`a token of "ana"`, "may subscribe: the rule in line 7", "may not publish"}},
		{"--channel room.7 --action publish --token-file " + token, 1, nil},
		{"--channel user.ana.x --token-file " + token, 0, []string{"may subscribe: the rule in line 8"}},
		{"--channel user.bob.x --token-file " + token, 1, []string{"another"}},
		{"--channel room.7 --token-file " + key, 0, []string{`the key "app"`, "may publish: the key's own patterns allow it"}},
		{"--channel other --token-file " + key, 1, nil},
		{"--channel other --token-file " + written(t, "bad", minted[:len(minted)-5]), 1, nil},
	} {
		code, stdout, stderr := run(t, "", append([]string{"check", file}, strings.Fields(c.args)...)...)
		if code != c.code || strings.Contains(stdout+stderr, goodKey) || strings.Contains(stderr, "eyJ") {
			t.Errorf("%s: exit %d, %q %q", c.args, code, stdout, stderr)
		}
		for _, want := range c.says {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s: %q; want %q", c.args, stdout, want)
			}
		}
	}
}
