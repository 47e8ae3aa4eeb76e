package presence

import "time"

// Hear has e read what came from the bus, at once.
func (e *Engine) Hear(data []byte) { e.hear([][]byte{data}, time.Now()) }

// Again returns what becomes of a message that is read and written.
func Again(data []byte) ([]byte, error) {
	m, err := parse(data)
	if err != nil {
		return nil, err
	}
	return m.encode(), nil
}
