package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// Pauses before connecting again.
const (
	minRetry = 100 * time.Millisecond
	maxRetry = 5 * time.Second
)

// A comeback says when to connect again, and tells a person of it: why once, and when it has
// succeeded.
type comeback struct {
	stderr    io.Writer
	connected bool   // it has been, once
	told      string // the last reason, empty while there is a connection
	pause     time.Duration
	since     time.Time // of the last connection
}

// succeeded notes that there is a connection.
func (c *comeback) succeeded() {
	again := ""
	if c.connected {
		again = " again"
	}
	if c.told != "" {
		fmt.Fprintf(c.stderr, "pregon: connected%s\n", again)
	}
	c.connected, c.told, c.since = true, "", time.Now()
}

// failed says why a connection ended or did not come about, and waits until the next is due. It returns err where
// there is no point in that, and the context's error where that ends.
func (c *comeback) failed(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errRefused), errors.Is(err, errNoHost) && !c.connected:
		return err
	}
	if text := err.Error(); text != c.told {
		fmt.Fprintf(c.stderr, "pregon: %s; connecting again\n", shown(c.stderr, text))
		c.told = text
	}
	select {
	case <-time.After(c.next(err)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// next returns how long to wait: twice as long each time, unless a connection has lasted.
func (c *comeback) next(err error) time.Duration {
	c.pause = min(2*c.pause, maxRetry)
	if c.pause == 0 || !c.since.IsZero() && time.Since(c.since) > maxRetry {
		c.pause = minRetry
	}
	c.since = time.Time{}
	wait := c.pause/2 + rand.N(c.pause)
	if of, ok := errors.AsType[*answered](err); ok {
		wait = max(wait, of.retry)
	}
	return wait
}
