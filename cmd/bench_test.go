package cmd_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/pregon/pregon/cmd/bench"
)

// load runs pregon bench, small, and on servers that are this test program.
func load(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv(asPregon, "1")
	return run(t, "", append([]string{"bench", "--subscribers", "20", "--messages", "20"}, args...)...)
}

// A load test starts a server, whatever the environment says about where to
// serve, and prints what it has found.
func TestBench(t *testing.T) {
	t.Setenv("PREGON_LISTEN", "nowhere")
	t.Setenv("PREGON_TLS_CERT", "no.pem")
	t.Setenv("PREGON_URL", "http://127.0.0.1:1")
	code, stdout, stderr := load(t, "--transport", "sse")
	if code != 0 || stderr != "" || !strings.Contains(stdout, "\n400 of 400 deliveries: 0 lost, 0 doubled, 0 out of order\n") {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
}

// Over /live there is one format, and the report says how was published.
func TestBenchLive(t *testing.T) {
	code, stdout, stderr := load(t, "--transport", "live", "--publish-over", "live", "--pipeline", "5")
	if code != 0 || !strings.Contains(stdout, "\n400 of 400 deliveries: 0 lost, 0 doubled, 0 out of order\n") ||
		!strings.Contains(stdout, "1 publisher over live (5 under way)") || !strings.Contains(stdout, "over live (json)") {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
	code, stdout, stderr = load(t, "--transport", "live", "--format", "text")
	if code != 2 || stdout != "" || !strings.Contains(stderr, "--format text: must be json") {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
}

// The floor is this program, too.
func TestBenchFloor(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the floor needs write(2)")
	}
	if code, stdout, stderr := load(t, "--floor"); code != 0 || !strings.Contains(stdout, "ratio") {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
}

// With --json standard output is one object, and with --html there is a page.
func TestBenchForPrograms(t *testing.T) {
	page := filepath.Join(t.TempDir(), "bench.html")
	code, stdout, stderr := load(t, "--json", "--html", page, "--format", "raw", "--channels", "4")
	var r bench.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 {
		t.Fatalf("exit %d, %v, %q", code, err, stderr)
	}
	if !r.Passed || r.Server.Received != 100 || r.Config.Channels != 4 || r.Config.Broker != "memory://" {
		t.Errorf("%+v", r)
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "100 of 100 deliveries") {
		t.Errorf("%v, %q", err, text)
	}
}

// A server that does not start is told of in its own words, without a password.
func TestBenchWithoutServer(t *testing.T) {
	for broker, want := range map[string]int{"nope://:s3cret@h": 2, "redis://:s3cret@h/x": 2} {
		code, stdout, stderr := load(t, "--broker", broker)
		if code != want || stdout != "" || !strings.Contains(stderr, "start the server") || strings.Contains(stderr, "s3") {
			t.Errorf("%s: exit %d, %q, %q", broker, code, stdout, stderr)
		}
	}
}

// What a server loses is an exit code that scripts see, after the whole report.
func TestBenchFails(t *testing.T) {
	url := scripted(t, func() {}, strings.Split(strings.Repeat("data: foreign\n\n,", 20), ",")...)
	code, stdout, stderr := load(t, "--url", url, "--transport", "sse", "--messages", "1", "--drain", "100ms")
	if code != 1 || !strings.Contains(stdout, "deliveries/s") || !strings.Contains(stderr, "20 corrupt") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
}
