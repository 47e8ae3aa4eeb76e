package cmd_test

import (
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker/redis/redistest"
)

// The doctor says what a newcomer gets wrong about who may, and never shows a secret.
func TestDoctorOfAccess(t *testing.T) {
	const rules = "rules:\n- {channels: [\"user.{sub}.**\"], subscribe: token}\n"
	secret := written(t, "secret", tokenSecret)
	tokens := "tokens: [{secret-file: " + secret + "}]\n"
	minted := func(args ...string) string {
		code, token, stderr := run(t, "", append([]string{"token"}, args...)...)
		if code != 0 {
			t.Fatal(stderr)
		}
		return written(t, "token", token)
	}
	weak := written(t, "weak", strings.Repeat("s3cret-", 5))
	for _, c := range []struct {
		name, file, token string
		code              int
		says              []string
	}{
		{"rules", tokens + rules, "", 0, []string{"ok    config", "0 keys, 1 issuer of tokens, 1 rule.", "warn  config", `line 3, column 15: user.{sub}.** covers`}},
		{"weak", "tokens: [{secret-file: " + weak + "}]", "", 0, []string{"does not look random"}},
		{"short", "tokens: [{secret-file: " + written(t, "short", "s3cret") + "}]", "", 1, []string{"bad   config", "at least 32"}},
		{"broken", "ruels: []", "", 1, []string{"bad   config", "did you mean rules?"}},
		{"email", tokens, minted("--jwt-key", secret, "--sub", "ana@example.com"), 0, []string{"ok    token", "warn  token", "{sub} stands for one segment"}},
		{"id", tokens, minted("--jwt-key", secret, "--sub", "u1"), 0, []string{`It is good: a token of "u1".`}},
		{"other", tokens, minted("--jwt-key", weak, "--sub", "u1"), 1, []string{"bad   token"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := []string{"doctor", "--broker", "memory://", "--config", written(t, "pregon.yaml", c.file)}
			if c.token != "" {
				args = append(args, "--token-file", c.token)
			}
			code, stdout, stderr := run(t, "", args...)
			for _, want := range c.says {
				if !strings.Contains(stdout, want) {
					t.Errorf("it does not say %q:\n%s", want, stdout)
				}
			}
			if code != c.code || strings.Contains(stdout+stderr, "s3cret") || c.name == "id" && strings.Contains(stdout, "warn") {
				t.Errorf("exit %d, %q, %q", code, stdout, stderr)
			}
		})
	}
}

// Without a configuration the doctor says what a credential is, and that it cannot say more.
func TestDoctorOfCredentialAlone(t *testing.T) {
	secret := written(t, "secret", tokenSecret)
	_, minted, _ := run(t, "", "token", "--jwt-key", secret, "--sub", "u1")
	made := func(claims string) string {
		return "eyJhbGciOiJIUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
	}
	for _, c := range []struct {
		name, credential string
		code             int
		says             string
	}{
		{"key", goodKey, 0, "ok    token         It has the form of a key."},
		{"short", "s3cret", 1, "bad   token         The key has fewer than 20"},
		{"token", minted, 0, `ok    token         It is a token of "u1" and expires at 2`},
		{"email", made(`{"sub":"a@b.c","exp":33000000000}`), 0, "warn  token         The subject has a separator"},
		{"expired", made(`{"exp":1}`), 1, "bad   token         It is a token without a subject and has expired, at 1970-01-01T00:00:01Z"},
		{"endless", made(`{"sub":"u1"}`), 0, "warn  token         It is a token of \"u1\" and never expires"},
		{"broken", made(`{"sub":1}`), 1, "bad   token         It begins as a token does"},
	} {
		code, stdout, stderr := run(t, "", "doctor", "--broker", "memory://", "--token-file", written(t, "credential", c.credential))
		if code != c.code || !strings.Contains(stdout, c.says) || !strings.Contains(stdout, "With --config") || strings.Contains(stdout+stderr, strings.TrimSpace(c.credential)) {
			t.Errorf("%s: exit %d\n%s%s", c.name, code, stdout, stderr)
		}
	}
}

// Where there are rules, a Redis on which everyone may publish is doubtful.
func TestDoctorOfOpenRedis(t *testing.T) {
	file := written(t, "pregon.yaml", "rules: []")
	open := redistest.Start(t)
	guarded := redistest.Start(t)
	guarded.MustDo("CONFIG", "SET", "requirepass", "s3cret")
	for _, c := range []struct{ url, config, says string }{
		{open.URL(), "", "ok    password      None is needed"},
		{open.URL(), file, "warn  password      None is needed"},
		{strings.Replace(guarded.URL(), "redis://", "redis://:s3cret@", 1), file, "ok    password      Programs without one may not"},
	} {
		args := []string{"doctor", "--broker", c.url}
		if c.config != "" {
			args = append(args, "--config", c.config)
		}
		code, stdout, stderr := run(t, "", args...)
		if code != 0 || !strings.Contains(stdout, c.says) || strings.Contains(stdout+stderr, "s3cret") {
			t.Errorf("%s: exit %d\n%s%s", filepath.Base(c.config), code, stdout, stderr)
		}
	}
}
