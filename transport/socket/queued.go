package socket

// Queued returns how many bytes wait for the peer, those beside that the system keeps.
func (s *Socket) Queued() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue == nil {
		return 0
	}
	return s.queue.bytes
}
