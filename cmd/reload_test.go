package cmd_test

import (
	"bufio"
	"context"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
)

// A reloader is a server that reads its file again at SIGHUP.
type reloader struct {
	t      *testing.T
	file   string
	server *exec.Cmd
	log    *bufio.Reader
	url    string
}

// startReloader starts a server, which is this test program, with a file.
func startReloader(t *testing.T, text string, args ...string) *reloader {
	t.Helper()
	r := &reloader{t: t, file: written(t, "pregon.yaml", text)}
	r.server = exec.Command(os.Args[0], append([]string{"--config", r.file, "--listen", "localhost:0", "--broker", "memory://", "--drain-notice", "0", "--drain-time", "10ms"}, args...)...)
	r.server.Env = append(os.Environ(), asPregon+"=1")
	stderr, err := r.server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.log = bufio.NewReader(stderr)
	r.url = start(t, r.server)
	return r
}

// reload changes the file, and returns what the server logs about it.
func (r *reloader) reload(text string) string {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := r.server.Process.Signal(syscall.SIGHUP); err != nil {
		r.t.Fatal(err)
	}
	return r.line()
}

func (r *reloader) line() string {
	r.t.Helper()
	line, err := r.log.ReadString('\n')
	if err != nil {
		r.t.Fatal(err)
	}
	return line
}

func (r *reloader) says(line string, want ...string) {
	r.t.Helper()
	for _, w := range want {
		if !strings.Contains(line, w) {
			r.t.Errorf("%q; want %q", line, w)
		}
	}
}

// SIGHUP reads the file again: all of it, or nothing and the log says why in one line, with the
// place; what cannot change is named.
func TestReload(t *testing.T) {
	t.Parallel()
	const rule = "- {channels: [\"a.*\"], subscribe: anyone}\n"
	r := startReloader(t, "rules:\n"+rule, "--history", "5m")
	r.says(r.reload("rules:\n\n"+rule+"- {channels: [b]}\n"), "level=INFO", "rules=2 new_rules=1 gone_rules=0 keys=0 new_keys=0 gone_keys=0 issuers=0")
	r.says(r.reload("rules:\n"+rule+"- {chanels: [b]}\n"), "level=ERROR", "line 3, column 4: unknown key chanels", "the old one stays in force")
	r.says(r.reload("rules: ["), "level=ERROR", "line 2")
	r.says(r.reload("hosts: [a.example]\nmax-message: 2MiB\ntrust-proxies: [10.0.0.1]\n"), "level=WARN", "anyone may listen to everything")
	r.says(r.line(), "level=INFO", "rules=0 new_rules=0 gone_rules=2")
	r.says(r.line(), "level=WARN", "the configuration has no rules any more", "anyone may listen")
	r.says(r.line(), "level=WARN", "[max-message trust-proxies]")
	r.says(r.reload("# cut off\n"), "level=ERROR", "the file is empty", "the old one stays in force")
	if err := os.WriteFile(filepath.Join(filepath.Dir(r.file), "key"), []byte(goodKey), 0o600); err != nil {
		t.Fatal(err)
	}
	r.says(r.reload("keys: [{name: app, file: key}]\nrules:\n- {channels: [x], history: {for: 1h}}\n"), "level=INFO", "rules=1", "keys=1 new_keys=1")
	key := filepath.Join(filepath.Dir(r.file), "key")
	publish := func() (code int, said string) {
		code, _, said = run(t, "", "pub", "x", "hola", "--url", r.url, "--token-file", key)
		return code, said
	}
	if code, said := publish(); code != 0 {
		t.Error("a key that is new does not count:", said)
	}
	r.says(r.reload("rules:\n- {channels: [x]}\n"), "gone_keys=1")
	r.says(r.line(), "level=WARN", "the configuration has no keys any more", "as the rules say")
	if code, said := publish(); code != 1 || !strings.Contains(said, "401") {
		t.Errorf("a key that is gone counts: exit %d, %s", code, said)
	}
	r.says(r.line(), "level=INFO", "refused")
	if err := os.Remove(r.file); err != nil {
		t.Fatal(err)
	}
	if err := r.server.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	r.says(r.line(), "level=ERROR", "no such file")
	if err := r.server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := r.server.Wait(); err != nil {
		t.Error(err)
	}
}

// Taking out the last issuer leaves listening to those with a token, unless the name tokens goes,
// too, which the log warns of.
func TestReloadOfTheLastIssuer(t *testing.T) {
	t.Parallel()
	keys := "keys: [{name: app, file: " + written(t, "key", goodKey) + "}]\n"
	tokens := "tokens: [{secret-file: " + written(t, "secret", tokenSecret) + "}]\n"
	r := startReloader(t, keys+tokens)
	reload := func(text, logged string, status int) {
		t.Helper()
		for line := r.reload(text); !strings.Contains(line, logged); line = r.line() {
			r.says(line, "level=INFO") // of who was refused
		}
		for deadline := time.Now().Add(patience); ; { // a warning comes ahead of what it warns of
			resp, err := http.Get(r.url + "/sse/x")
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode == status {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: a stranger gets %d, want %d", logged, resp.StatusCode, status)
			}
		}
	}
	reload(keys+tokens, "issuers=1", http.StatusUnauthorized)
	reload(keys+"tokens: []\n", "no tokens any more", http.StatusUnauthorized)
	reload(keys, "anyone may listen to everything", http.StatusOK)
}

// even is a broker that keeps the same of all channels.
func init() {
	broker.Register("even", func(ctx context.Context, _ *url.URL) (broker.Broker, error) {
		b, err := broker.Open(ctx, "memory://?history=5m")
		if err != nil {
			return nil, err
		}
		history, _ := broker.HistoryOf(b)
		return struct {
			broker.Broker
			broker.Historian
		}{b, history}, nil
	})
}

// A rule's history needs a broker that keeps one, and can keep another for each channel, at
// the start and later.
func TestHistoryOfRules(t *testing.T) {
	t.Parallel()
	const text = "rules:\n- {channels: [a], history: {messages: 5}}\n"
	for _, args := range [][]string{{"--broker", "memory://"}, {"--broker", "even://"}} {
		code, _, stderr := run(t, "", append(args, "--listen", "localhost:0", "--config", written(t, "pregon.yaml", text))...)
		if code != 2 || !strings.Contains(stderr, "line 2: the rule has a history") {
			t.Errorf("exit %d, %q", code, stderr)
		}
	}
	r := startReloader(t, "rules: []\n")
	r.says(r.reload(text), "level=ERROR", "line 2: the rule has a history")
}
