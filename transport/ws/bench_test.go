package ws_test

import (
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/ws"
)

// BenchmarkMessage is the encoding of one message, which serves all its clients.
func BenchmarkMessage(b *testing.B) {
	m := broker.Message{Channel: "noticias", Data: []byte(strings.Repeat("¡Hola mundo! ", 10))}
	encodings := map[string]transport.Encoding{"raw deflated": ws.Encoding("raw", true)}
	for _, f := range transport.Formats() {
		encodings[f.Name()] = ws.Encoding(f.Name(), false)
	}
	for name, e := range encodings {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.Message(m)
			}
		})
	}
}
