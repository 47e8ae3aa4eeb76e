package broker

import (
	"encoding/binary"
	"unicode/utf8"
)

// magic begins an envelope. 0xFF occurs in no UTF-8 text.
const magic = "\xFFpg1"

// Fields of an envelope.
const (
	fieldData     = 'd' // the rest is the payload; always last
	fieldBinary   = 'b' // empty value: the payload is binary
	fieldPosition = 'p' // Position.String of the message
	fieldSubject  = 'u' // Author.Subject of the publisher
	fieldSession  = 's' // Author.Session of the publisher
	fieldTrace    = 't' // Traceparent of the message
)

// AppendWire appends m as it travels on a broker that carries bytes and shares
// its channels with strangers, such as Redis. Text of which nothing more is to be said is
// its bare bytes, so that any program can speak and listen. All else is put into an envelope:
//
//	FF 'p' 'g' '1'                 magic
//	{ tag, uvarint length, value } fields, in any order; unknown tags are skipped
//	'd' payload to the end
//
// The tags are 'b' (the payload is binary, no value), 'p' (the position, as in
// [Position.String]), 'u' and 's' (the members of By, each where it is not empty), 't'
// (Traceparent, where it is sampled) and 'd'. It is appended with one growth of dst at most.
func AppendWire(dst []byte, m Message) []byte {
	if m = m.Normalized(); !m.Binary && m.Position.IsZero() && m.By == nil && m.Traceparent == "" {
		return append(dst, m.Data...)
	}
	most := len(magic) + 2 + 2 + len("18446744073709551615-18446744073709551615") + 1
	if m.By != nil {
		most += 3 + len(m.By.Subject) + 3 + len(m.By.Session)
	}
	if m.Traceparent != "" {
		most += 2 + traceparentBytes
	}
	if need := len(dst) + most + len(m.Data); cap(dst) < need {
		dst = append(make([]byte, 0, need), dst...)
	}
	dst = append(dst, magic...)
	if !m.Position.IsZero() {
		text := m.Position.String()
		dst = append(dst, fieldPosition, byte(len(text)))
		dst = append(dst, text...)
	}
	return AppendFields(dst, m)
}

// AppendFields appends what follows an envelope's magic, without the position: for
// a backend that gives positions, and can put the rest of the envelope before it
// by itself.
func AppendFields(dst []byte, m Message) []byte {
	m = m.Normalized()
	if m.By != nil {
		dst = appendText(dst, fieldSubject, m.By.Subject)
		dst = appendText(dst, fieldSession, m.By.Session)
	}
	dst = appendText(dst, fieldTrace, m.Traceparent)
	if m.Binary {
		dst = append(dst, fieldBinary, 0)
	}
	dst = append(dst, fieldData)
	return append(dst, m.Data...)
}

// appendText appends a field, unless it is empty.
func appendText(dst []byte, tag byte, text string) []byte {
	if text == "" {
		return dst
	}
	dst = binary.AppendUvarint(append(dst, tag), uint64(len(text)))
	return append(dst, text...)
}

// ParseFields is the opposite of AppendFields. It reports false for bytes that are
// not well formed.
func ParseFields(channel string, fields []byte) (Message, bool) {
	return parseFields(channel, fields)
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
	return parseFields(channel, wire[len(magic):])
}

func parseFields(channel string, rest []byte) (Message, bool) {
	m := Message{Channel: channel}
	var by Author
	for len(rest) > 0 {
		tag := rest[0]
		rest = rest[1:]
		if tag == fieldData {
			m.Data = rest
			if by != (Author{}) {
				m.By = &Author{by.Subject, by.Session}
			}
			return m.Normalized(), true
		}
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > uint64(len(rest)-n) {
			return Message{}, false
		}
		value := rest[n : n+int(size)]
		switch tag {
		case fieldBinary:
			m.Binary = true
		case fieldPosition:
			// One that makes no sense is a stranger's: the message has none.
			m.Position, _ = ParsePosition(string(value))
		case fieldSubject:
			by.Subject = string(value)
		case fieldSession:
			by.Session = string(value)
		case fieldTrace:
			if len(value) == traceparentBytes { // Normalized looks at the rest
				m.Traceparent = string(value)
			}
		}
		rest = rest[n+int(size):]
	}
	return Message{}, false
}
