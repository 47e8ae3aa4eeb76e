package server

import (
	"context"
	"fmt"
	"net"
)

// Listen opens a TCP port as a server of long-lived connections needs it: the
// system gives up on a peer that has not acknowledged anything for a minute, so
// that a listener whose network is gone is noticed though nothing is closed.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{Control: limitUnacknowledged}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return l, nil
}
