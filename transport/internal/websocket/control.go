package websocket

// Frames between messages. gorilla answers these only on its way to the next
// message, for which it then waits; a reader that waits elsewhere has to take
// them out itself.

// Masked frames of at most 125 bytes (RFC 6455 section 5.2).
const (
	maskBit    = 0x80
	maxControl = 125
	maskedHead = 2 + 4     // with the mask
	maxMasked  = 2 + 8 + 4 // the longest head of a client's frame
)

// readControl takes one ping or pong off the input, where that is what comes
// next, and handles it. Everything else, broken frames included, is left to
// gorilla.
func (c *Conn) readControl() (done bool, err error) {
	head, err := c.input.Peek(2)
	if err != nil {
		return false, err
	}
	kind, size := head[0], int(head[1]&^maskBit)
	if kind != finPing && kind != finPong || head[1]&maskBit == 0 || size > maxControl {
		return false, nil
	}
	frame, err := c.input.Peek(maskedHead + size)
	if err != nil {
		return false, err
	}
	if kind == finPong {
		err = c.pong("")
	} else {
		err = c.ping(string(unmasked(frame)))
	}
	_, _ = c.input.Discard(len(frame)) // it is in the buffer
	return true, err
}

// unmasked returns the payload of a frame with a short length (RFC 6455 section
// 5.3).
func unmasked(frame []byte) []byte {
	mask := frame[2:maskedHead]
	payload := append([]byte(nil), frame[maskedHead:]...)
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return payload
}
