package hub

import "sync/atomic"

// An output counts what a worker has handed to the connections of its clients. It adds up in plain
// fields, for each client, and shows the sums behind each write to a group.
type output struct {
	messages, bytes uint64 // the worker's own
	shown           struct{ messages, bytes atomic.Uint64 }
}

// add counts messages that were handed to one client in so many bytes.
func (o *output) add(messages, bytes int) {
	o.messages += uint64(messages)
	o.bytes += uint64(bytes)
}

// show lets others see the sums.
func (o *output) show() {
	o.shown.messages.Store(o.messages)
	o.shown.bytes.Store(o.bytes)
}

// delivered returns how many messages were handed to single clients, and in how many bytes: by the
// workers, and from the history.
func (h *Hub) delivered() (messages, bytes uint64) {
	messages, bytes = h.counts.replayed.Load(), h.counts.replayedBytes.Load()
	for _, w := range h.workers {
		messages += w.output.shown.messages.Load()
		bytes += w.output.shown.bytes.Load()
	}
	return messages, bytes
}
