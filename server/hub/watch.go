package hub

import "context"

// Watch subscribes to a channel for somebody who reads its history and wants to
// know when to read again: news gets a token after messages or gaps have come. It
// returns once the broker has confirmed the channel, or an error as Join does. The
// caller calls stop, once.
func (h *Hub) Watch(ctx context.Context, channel string) (news <-chan struct{}, stop func(), err error) {
	signal := make(chan struct{}, 1)
	h.mu.Lock()
	if h.draining {
		h.mu.Unlock()
		return nil, nil, ErrDraining
	}
	t := h.topic(channel)
	h.acquire(t)
	if t.watchers == nil {
		t.watchers = map[chan struct{}]struct{}{}
	}
	t.watchers[signal] = struct{}{}
	t.watched.Store(true)
	h.mu.Unlock()
	stop = func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(t.watchers, signal)
		t.watched.Store(len(t.watchers) > 0)
		h.release(t)
	}
	if err := h.confirmed(ctx, []*topic{t})[0]; err != nil {
		stop()
		return nil, nil, err
	}
	return signal, stop, nil
}

// notify gives each watcher of t a token. Where there are none it takes no lock.
func (t *topic) notify() {
	if !t.watched.Load() {
		return
	}
	t.hub.mu.RLock()
	defer t.hub.mu.RUnlock()
	for signal := range t.watchers {
		select {
		case signal <- struct{}{}:
		default: // it has one
		}
	}
}
