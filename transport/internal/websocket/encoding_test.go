package websocket_test

import (
	"testing"

	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/internal/websocket"
)

// There is one Encoding for each format, with compression and without: so a message is encoded
// once for all clients that read the same.
func TestEncodingsAreShared(t *testing.T) {
	seen := map[transport.Encoding]bool{}
	for _, f := range transport.Formats() {
		for _, deflate := range []bool{false, true} {
			e := websocket.EncodingOf(f, deflate)
			if e == nil || seen[e] || e != websocket.EncodingOf(f, deflate) {
				t.Errorf("%s, compressed: %v: not one value of its own", f.Name(), deflate)
			}
			seen[e] = true
		}
	}
}
