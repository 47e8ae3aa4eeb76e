package presence

import "sync"

// Bounds of what came from the bus and was not read yet. Beyond them messages are dropped, as if
// they had been lost on the way.
const (
	inboxMessages = 4096
	inboxBytes    = 16 << 20
)

// An inbox keeps what came until the Engine reads it: the bus does not wait.
type inbox struct {
	arrived chan struct{} // has a token where there is something to take

	mu       sync.Mutex
	messages [][]byte
	bytes    int
	lost     bool // some are missing
}

func newInbox() inbox { return inbox{arrived: make(chan struct{}, 1)} }

// push keeps a message.
func (i *inbox) push(data []byte) {
	i.mu.Lock()
	if len(i.messages) < inboxMessages && i.bytes+len(data) <= inboxBytes {
		i.messages = append(i.messages, data)
		i.bytes += len(data)
	} else {
		i.lost = true
	}
	i.mu.Unlock()
	i.wake()
}

// overflow notes that messages are missing.
func (i *inbox) overflow() {
	i.mu.Lock()
	i.lost = true
	i.mu.Unlock()
	i.wake()
}

func (i *inbox) wake() {
	select {
	case i.arrived <- struct{}{}:
	default:
	}
}

// take takes all there is, and reports whether some are missing.
func (i *inbox) take() (messages [][]byte, lost bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	messages, lost = i.messages, i.lost
	i.messages, i.bytes, i.lost = nil, 0, false
	return messages, lost
}
