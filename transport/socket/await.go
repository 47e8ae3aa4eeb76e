package socket

import "context"

// AwaitEmpty returns when nothing waits in the Socket and it is open: what is sent
// then fits. It is for senders that can wait, such as one that reads what it sends
// out of a history. It returns ErrClosed once the Socket has ended.
func (s *Socket) AwaitEmpty(ctx context.Context) error {
	for {
		again, err := s.empty()
		if again == nil {
			return err
		}
		select {
		case <-again:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// empty returns what AwaitEmpty is to return, or an event after which it is to ask
// again.
func (s *Socket) empty() (again <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state != taking:
		return nil, ErrClosed
	case !s.corked && s.queue == nil:
		return nil, nil
	}
	if s.emptied == nil {
		s.emptied = make(chan struct{})
	}
	return s.emptied, nil
}

// wakeWaiters wakes those who wait in AwaitEmpty. The caller holds the lock.
func (s *Socket) wakeWaiters() {
	if s.emptied != nil {
		close(s.emptied)
		s.emptied = nil
	}
}
