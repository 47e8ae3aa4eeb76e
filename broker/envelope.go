package broker

import (
	"encoding/binary"
	"unicode/utf8"
)

// magic begins an envelope. 0xFF occurs in no UTF-8 text.
const magic = "\xFFpg1"

// Fields of an envelope.
const (
	fieldData   = 'd' // the rest is the payload; always last
	fieldBinary = 'b' // empty value: the payload is binary
)

// AppendWire appends m as it travels on a broker that carries bytes and shares
// its channels with strangers, such as Redis. Text is its bare bytes, so that
// any program can speak and listen. All else is put into an envelope:
//
//	FF 'p' 'g' '1'                 magic
//	{ tag, uvarint length, value } fields, in any order; unknown tags are skipped
//	'd' payload to the end
//
// The tags are 'b' (the payload is binary, no value) and 'd'. It is appended
// with one growth of dst at most.
func AppendWire(dst []byte, m Message) []byte {
	if m = m.Normal(); !m.Binary {
		return append(dst, m.Data...)
	}
	if need := len(dst) + len(magic) + 3 + len(m.Data); cap(dst) < need {
		dst = append(make([]byte, 0, need), dst...)
	}
	dst = append(dst, magic...)
	dst = append(dst, fieldBinary, 0)
	dst = append(dst, fieldData)
	return append(dst, m.Data...)
}

// ParseWire is the opposite of AppendWire for bytes that came from channel. Any
// bytes are a message: what is neither text nor a well-formed envelope was
// sent by a stranger and is binary as it is. The result shares wire's memory.
func ParseWire(channel string, wire []byte) Message {
	if m, ok := parseEnvelope(channel, wire); ok {
		return m
	}
	return Message{Channel: channel, Data: wire, Binary: !utf8.Valid(wire)}
}

func parseEnvelope(channel string, wire []byte) (Message, bool) {
	if len(wire) < len(magic) || string(wire[:len(magic)]) != magic {
		return Message{}, false
	}
	m := Message{Channel: channel}
	for rest := wire[len(magic):]; len(rest) > 0; {
		tag := rest[0]
		rest = rest[1:]
		if tag == fieldData {
			m.Data = rest
			return m.Normal(), true
		}
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > uint64(len(rest)-n) {
			return Message{}, false
		}
		if tag == fieldBinary {
			m.Binary = true
		}
		rest = rest[n+int(size):]
	}
	return Message{}, false
}
