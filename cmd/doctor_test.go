package cmd_test

import (
	"context"
	"encoding/json"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// The doctor reports likely problems of a Redis in words, and fails where it does
// not work at all. It never shows a password.
func TestDoctor(t *testing.T) {
	const always = "--appendonly yes --appendfsync always"
	for _, c := range []struct {
		name, redis string
		flags       []string
		code        int
		says        []string
	}{
		{"durable", always, []string{"--history", "5m"}, 0, []string{"ok    persistence", "publish       Heard through the own subscription", "Every acknowledged message"}},
		{"everysec", "--appendonly yes", []string{"--history", "5m"}, 0, []string{"warn  persistence", "appendfsync always", "clients are told"}},
		{"no persistence", "", []string{"--history", "5m"}, 0, []string{"warn  persistence"}},
		{"no history", "", nil, 0, []string{"ok    persistence", "With --history"}},
		{"eviction", "--maxmemory 100mb --maxmemory-policy allkeys-lru", nil, 0, []string{"warn  memory", "allkeys-lru", "noeviction"}},
		{"full", "--maxmemory 100mb --maxmemory-policy noeviction", nil, 0, []string{"warn  memory", "503"}},
		{"small buffers", "--client-output-buffer-limit pubsub\x001mb\x00512kb\x005", nil, 0, []string{"warn  subscribers", "32mb 8mb 60"}},
		{"wrong password", "--requirepass other", nil, 1, []string{"bad   connection", "password is wrong"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			words := strings.Fields(c.redis)
			for i, w := range words {
				words[i] = strings.ReplaceAll(w, "\x00", " ")
			}
			redis := redistest.Start(t, words...)
			url := redis.URL()
			if strings.Contains(c.redis, "requirepass") {
				url = strings.Replace(url, "redis://", "redis://:s3cret@", 1)
			}
			code, stdout, stderr := run(t, "", append([]string{"doctor", "--broker", url}, c.flags...)...)
			for _, want := range c.says {
				if !strings.Contains(stdout, want) {
					t.Errorf("it does not say %q:\n%s", want, stdout)
				}
			}
			if code != c.code || strings.Contains(stdout+stderr, "s3cret") {
				t.Errorf("exit %d, %q, %q", code, stdout, stderr)
			}
		})
	}
}

// What a user may not do is found by doing it.
func TestDoctorPermissions(t *testing.T) {
	redis := redistest.Start(t)
	redis.MustDo("ACL", "SETUSER", "ana", "on", ">s3cret", "+@all", "-publish", "~*", "&*")
	url := strings.Replace(redis.URL(), "redis://", "redis://ana:s3cret@", 1)
	for _, history := range []string{"0", "5m"} {
		code, stdout, stderr := run(t, "", "doctor", "--broker", url, "--history", history)
		if code != 1 || !strings.Contains(stdout, "bad   publish") || !strings.Contains(stdout, "no permission") ||
			strings.Contains(stdout+stderr, "s3cret") {
			t.Errorf("history %s: exit %d\n%s%s", history, code, stdout, stderr)
		}
	}
}

// The doctor prints the line that makes a user with what a node needs, also to one
// who may do nothing; what such a user lacks is named.
func TestDoctorACL(t *testing.T) {
	for _, history := range []string{"0", "5m"} {
		redis := redistest.Start(t)
		redis.MustDo("ACL", "SETUSER", "pregon", "on", ">s3cret")
		url := strings.Replace(redis.URL(), "redis://", "redis://pregon:s3cret@", 1)
		code, stdout, stderr := run(t, "", "doctor", "--broker", url, "--history", history)
		_, line, found := strings.Cut(stdout, "ACL SETUSER")
		line, _, _ = strings.Cut(line, "\n")
		if code != 1 || !found || !strings.Contains(stdout, "command PING") {
			t.Fatalf("history %s: exit %d\n%s%s", history, code, stdout, stderr)
		}
		redis.MustDo(append([]string{"ACL", "SETUSER"}, strings.Fields(strings.Replace(line, "PASSWORD", "s3cret", 1))...)...)
		code, stdout, stderr = run(t, "", "doctor", "--broker", url, "--history", history)
		if code != 0 || !strings.Contains(stdout, "publish       Heard through the own subscription") {
			t.Errorf("history %s, with what the line gives: exit %d\n%s%s", history, code, stdout, stderr)
		}
		redis.MustDo("ACL", "SETUSER", "pregon", "-publish", "-evalsha")
		code, stdout, _ = run(t, "", "doctor", "--broker", url, "--history", history)
		if want := map[string]string{"0": "PUBLISH", "5m": "EVALSHA"}[history]; code != 1 || !strings.Contains(stdout, "command "+want) {
			t.Errorf("history %s: exit %d, it does not name %s:\n%s", history, code, want, stdout)
		}
	}
}

// The doctor leaves no channel with a history behind: only the record that every node keeps up to date, and the place of
// nodes' own probes, which expires.
func TestDoctorLeavesNoHistory(t *testing.T) {
	redis := redistest.Start(t)
	if code, stdout, stderr := run(t, "", "doctor", "--broker", redis.URL(), "--history", "5m"); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	keys := redis.MustDo("KEYS", "*")
	if strings.Contains(keys, "doctor") || !strings.Contains(keys, "__pregon:run") {
		t.Errorf("it leaves %s", keys)
	}
	record := redis.MustDo("GET", "__pregon:run")
	for history, says := range map[string]string{"5m": "Heard through", "1h": "Not tried, as that would make another window"} {
		_, stdout, _ := run(t, "", "doctor", "--broker", redis.URL(), "--history", history)
		if now := redis.MustDo("GET", "__pregon:run"); now != record || !strings.Contains(stdout, says) {
			t.Errorf("--history %s: the record was %q, is %q\n%s", history, record, now, stdout)
		}
	}
	if left := redis.MustDo("PTTL", "__pregon:h:__pregon.probe"); strings.HasPrefix(left, "-") {
		t.Errorf("the place of probes expires in %s ms, of %s", left, keys)
	}
}

// Where trying out would make something on the backend that binds the first node, the doctor does not, and says so.
func TestDoctorMakesNothing(t *testing.T) {
	code, stdout, stderr := run(t, "", "doctor", "--broker", "unmade://")
	if code != 0 || !strings.Contains(stdout, "ok    publish       Not tried, as that would make the stream X") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}

// An unmade broker is one that would make something with its first use, which fails.
type unmade struct{ broker.Broker }

func (unmade) Diagnose(context.Context) ([]broker.Finding, error) { return nil, nil }
func (unmade) Unmade(context.Context) (string, error)             { return "the stream X", nil }
func (unmade) Feed(context.Context) (broker.Feed, error)          { return nil, broker.ErrDenied }

func init() {
	broker.Register("unmade", func(ctx context.Context, _ *url.URL) (broker.Broker, error) {
		b, err := broker.Open(ctx, "memory://")
		return unmade{b}, err
	})
}

// A cluster is found to be weaker than one Redis, and of no use with a history.
func TestDoctorOfACluster(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the bus wants a port, by default one that may not exist
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	redis := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-port", port)
	redis.MustDo("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	code, stdout, stderr := run(t, "", "doctor", "--broker", redis.URL())
	if code != 0 || !strings.Contains(stdout, "warn  cluster") || !strings.Contains(stdout, "same master") || !strings.Contains(stdout, "warn  you get") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	code, stdout, stderr = run(t, "", "doctor", "--broker", redis.URL(), "--history", "5m")
	if code != 1 || !strings.Contains(stdout, "bad   cluster") {
		t.Errorf("with a history: exit %d\n%s%s", code, stdout, stderr)
	}
}

// Brokers that have nothing to be asked are tried out, and nothing is called fine
// that cannot be reached. For programs there is JSON.
func TestDoctorOfOthers(t *testing.T) {
	for _, url := range []string{"memory://", "miniredis://"} {
		code, stdout, _ := run(t, "", "doctor", "--broker", url, "--json")
		var findings []broker.Finding
		if err := json.Unmarshal([]byte(stdout), &findings); err != nil || code != 0 || len(findings) < 2 {
			t.Errorf("%s: exit %d, %v, %s", url, code, err, stdout)
		}
	}
	if code, stdout, _ := run(t, "", "doctor", "--broker", "redis://127.0.0.1:1"); code != 1 || !strings.HasPrefix(stdout, "bad   connection") {
		t.Errorf("exit %d, %q", code, stdout)
	}
	if code, _, stderr := run(t, "", "doctor", "--timeout", "0"); code != 2 || !strings.Contains(stderr, "--timeout") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}
