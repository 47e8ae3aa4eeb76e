package hub

import "context"

// Watch subscribes to a channel for somebody who reads its history and wants to
// know when to read again: news gets a token after messages or gaps have come. It
// returns once the broker has confirmed the channel, or an error as Join does. The
// caller calls stop, once, and may put a token there itself, without waiting.
func (h *Hub) Watch(ctx context.Context, channel string) (news chan struct{}, stop func(), err error) {
	if h.isDraining() {
		return nil, nil, ErrDraining
	}
	signal := make(chan struct{}, 1)
	t := h.topics.want(channel)
	t.watch(signal)
	stop = func() {
		t.unwatch(signal)
		h.topics.unwant(t)
	}
	if err := h.topics.confirmed(ctx, []*topic{t})[0]; err != nil {
		stop()
		return nil, nil, err
	}
	return signal, stop, nil
}

// watch has signal get a token whenever there are news.
func (t *topic) watch(signal chan struct{}) {
	t.directory.mu.Lock()
	defer t.directory.mu.Unlock()
	if t.watchers == nil {
		t.watchers = map[chan struct{}]struct{}{}
	}
	t.watchers[signal] = struct{}{}
	t.watched.Store(true)
}

func (t *topic) unwatch(signal chan struct{}) {
	t.directory.mu.Lock()
	defer t.directory.mu.Unlock()
	delete(t.watchers, signal)
	t.watched.Store(len(t.watchers) > 0)
}

// notify gives each watcher of t a token. Where there are none it takes no lock.
func (t *topic) notify() {
	if !t.watched.Load() {
		return
	}
	t.directory.mu.RLock()
	defer t.directory.mu.RUnlock()
	for signal := range t.watchers {
		select {
		case signal <- struct{}{}:
		default: // it has one
		}
	}
}
