package cmd_test

import (
	"bytes"
	"context"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/cmd"
)

// A lossy broker is one in memory that says that it may lose messages, with an escape sequence in what it says.
type losing struct{ broker.Broker }

func (losing) NotPromised() string { return "Every \x1b[2Jother message may be lost." }

func init() {
	broker.Register("losing", func(ctx context.Context, _ *url.URL) (broker.Broker, error) {
		b, err := broker.Open(ctx, "memory://")
		return losing{b}, err
	})
}

// What a broker does not promise is a line of the log at the start, once.
func TestLossyIsLogged(t *testing.T) {
	for url, want := range map[string]int{"losing://": 1, "memory://": 0} {
		ctx, cancel := context.WithCancel(context.Background())
		r, w := io.Pipe()
		var stderr bytes.Buffer
		done := make(chan int, 1)
		go func() {
			code := cmd.Run(ctx, []string{"--listen", "localhost:0", "--broker", url, "--drain-notice", "0", "--drain-time", "10ms"}, nil, w, &stderr)
			_ = w.Close()
			done <- code
		}()
		address(t, r)
		cancel()
		if code := <-done; code != 0 || strings.Count(stderr.String(), "does not tell of every loss") != want || want > 0 && !strings.Contains(stderr.String(), "other message may be lost") {
			t.Errorf("%s: exit %d, %s", url, code, stderr.String())
		}
	}
}

// The doctor says what a broker does not promise, where it examines it and where it examines a server that uses it.
func TestDoctorOfALossyBroker(t *testing.T) {
	code, stdout, stderr := run(t, "", "doctor", "--broker", "losing://")
	if code != 0 || !strings.Contains(stdout, "warn  you get") || !strings.Contains(stdout, "other message may be lost.") {
		t.Errorf("the broker: exit %d\n%s%s", code, stdout, stderr)
	}
	code, stdout, stderr = run(t, "", "doctor", "--url", serve(t, "--broker", "losing://", "--ping-interval", "100ms"))
	if code != 0 || !strings.Contains(stdout, `warn  not promised  Every \u001b[2Jother message may be lost.`) {
		t.Errorf("the server: exit %d\n%s%s", code, stdout, stderr)
	}
	if _, stdout, _ = run(t, "", "doctor", "--url", serve(t, "--broker", "memory://", "--ping-interval", "100ms")); strings.Contains(stdout, "not promised") {
		t.Errorf("a server whose broker tells of every loss:\n%s", stdout)
	}
}
