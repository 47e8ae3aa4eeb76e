package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Opcodes of RFC 6455, section 5.2.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

const (
	finBit      = 0x80
	reservedBit = 0x70
	maskBit     = 0x80
	maxControl  = 125 // bytes of a control frame's payload
)

var errFrame = errors.New("broken WebSocket frame")

// frames decodes what a WebSocket server sends (RFC 6455, section 5).
type frames struct {
	open  bool   // a fragmented message has begun
	parts []byte // of it
}

// next implements decoder. An event is a frame.
func (f *frames) next(b []byte) (event, int, error) {
	head, length, err := frameHead(b)
	switch {
	case err != nil:
		return event{}, 0, err
	case head == 0 || uint64(len(b)-head) < length:
		return event{}, 0, nil
	}
	end := head + int(length)
	e, err := f.frame(b[0]&finBit != 0, b[0]&0x0f, b[head:end])
	return e, end, err
}

// frameHead returns the size of the header of the frame at the start of b, 0
// where it is not complete, and the length of the payload.
func frameHead(b []byte) (head int, length uint64, err error) {
	if len(b) < 2 {
		return 0, 0, nil
	}
	switch {
	case b[0]&reservedBit != 0:
		return 0, 0, fmt.Errorf("%w: reserved bits are set", errFrame)
	case b[1]&maskBit != 0:
		return 0, 0, fmt.Errorf("%w: it is masked", errFrame)
	}
	head, length = 2, uint64(b[1])
	switch {
	case length == 126 && len(b) < 4, length == 127 && len(b) < 10:
		return 0, 0, nil
	case length == 126:
		head, length = 4, uint64(binary.BigEndian.Uint16(b[2:]))
	case length == 127:
		head, length = 10, binary.BigEndian.Uint64(b[2:])
	}
	if length > maxEvent {
		return 0, 0, errTooLong
	}
	return head, length, nil
}

func (f *frames) frame(fin bool, opcode byte, payload []byte) (event, error) {
	switch opcode {
	case opText, opBinary, opContinuation:
		return f.data(fin, opcode == opContinuation, payload)
	case opClose, opPing, opPong:
	default:
		return event{}, fmt.Errorf("%w: unknown opcode %d", errFrame, opcode)
	}
	if !fin || len(payload) > maxControl {
		return event{}, fmt.Errorf("%w: a control frame in parts or too long", errFrame)
	}
	switch opcode {
	case opClose:
		return event{goodBye, payload}, nil
	case opPing:
		return event{ping, payload}, nil
	}
	return event{}, nil
}

// data puts the fragments of a message together.
func (f *frames) data(fin, continued bool, payload []byte) (event, error) {
	if continued != f.open {
		return event{}, fmt.Errorf("%w: a fragment out of place", errFrame)
	}
	if fin && !continued {
		return event{message, payload}, nil
	}
	if !continued {
		f.parts = f.parts[:0]
	}
	if len(f.parts)+len(payload) > maxEvent {
		return event{}, errTooLong
	}
	f.parts = append(f.parts, payload...)
	f.open = !fin
	if f.open {
		return event{}, nil
	}
	return event{message, f.parts}, nil
}

// appendControl appends a control frame as clients send it: masked, here with
// zeros, which leave it readable (section 5.3 asks for random ones to protect
// proxies from pages that choose payloads, and there is no page here).
func appendControl(dst []byte, opcode byte, payload []byte) []byte {
	dst = append(dst, finBit|opcode, maskBit|byte(len(payload)), 0, 0, 0, 0)
	return append(dst, payload...)
}

// appendText appends a text frame, masked as in appendControl.
func appendText(dst, payload []byte) []byte {
	dst = append(dst, finBit|opText)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, maskBit|byte(n))
	case n <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, maskBit|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, maskBit|127), uint64(n))
	}
	return append(append(dst, 0, 0, 0, 0), payload...)
}

// closeText is the reason in the payload of a close frame (section 5.5.1).
func closeText(payload []byte) string {
	if len(payload) < 2 {
		return "no close code"
	}
	return fmt.Sprintf("close code %d %q", binary.BigEndian.Uint16(payload), payload[2:])
}
