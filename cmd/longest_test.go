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

// A short broker is one in memory that takes messages of a thousand bytes.
type short struct{ broker.Broker }

func (short) LongestData(context.Context) (int, error) { return 1000, nil }

func init() {
	broker.Register("short", func(ctx context.Context, _ *url.URL) (broker.Broker, error) {
		b, err := broker.Open(ctx, "memory://")
		return short{b}, err
	})
}

// A start warns where clients may publish longer messages than the broker takes, and only there.
func TestLongestMessage(t *testing.T) {
	for size, warns := range map[string]bool{"1001": true, "1000": false} {
		ctx, cancel := context.WithCancel(context.Background())
		r, w := io.Pipe()
		var stderr bytes.Buffer
		done := make(chan int, 1)
		go func() {
			code := cmd.Run(ctx, []string{"--listen", "localhost:0", "--broker", "short://", "--max-message", size, "--drain-notice", "0", "--drain-time", "10ms"}, nil, w, &stderr)
			_ = w.Close()
			done <- code
		}()
		address(t, r)
		cancel()
		if code := <-done; code != 0 || strings.Contains(stderr.String(), "takes shorter messages") != warns {
			t.Errorf("--max-message %s: exit %d, %s", size, code, stderr.String())
		}
	}
}
