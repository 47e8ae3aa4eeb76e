package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pregon/pregon/server"
)

// What memory:// keeps of all channels together is bounded, however many channels
// there are. A client that continues behind what is gone is told.
func TestFoundMemoryHistoryIsBounded(t *testing.T) {
	const channels, size, bound = 64, 256 << 10, 4 << 20
	n := start(t, server.Options{Broker: open(t, fmt.Sprintf("memory://%s&history-bytes=%d", keepHistory, bound))})
	text := strings.Repeat("x", size)
	var first string
	for i := range channels {
		channel := fmt.Sprint("c", i)
		n.publish(channel, "first")
		if i == 0 {
			first = n.history("/history/c0").Next
		}
		n.publish(channel, text)
	}
	kept := 0
	for i := range channels {
		for _, m := range n.history(fmt.Sprintf("/history/c%d", i)).Messages {
			kept += len(m.Data)
		}
	}
	if kept > bound || kept < bound/2 {
		t.Errorf("%d bytes are kept, with a bound of %d", kept, bound)
	}
	if a := n.history("/history/c0?since=" + first); a.Complete {
		t.Errorf("behind what is gone: %+v", a)
	}
	if got := read(t, n.ws("/ws/c0?format=json&since="+first)); !strings.Contains(got, `"recovered":false`) {
		t.Error(got)
	}
}
