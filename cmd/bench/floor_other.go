//go:build !unix

package bench

import (
	"context"
	"errors"
	"net"
)

// ServeFloor needs write(2), which this system does not have. It closes l.
func ServeFloor(_ context.Context, l net.Listener) error {
	_ = l.Close() // the other error is the news
	return errors.New("floor: not available on this system")
}
