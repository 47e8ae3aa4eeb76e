package websocket_test

import (
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/internal/websocket"
)

// BenchmarkMessage is the encoding of one message, which serves all its clients.
func BenchmarkMessage(b *testing.B) {
	m := broker.Message{Channel: "noticias", Data: []byte(strings.Repeat("¡Hola mundo! ", 10))}
	encodings := map[string]transport.Encoding{}
	for _, f := range transport.Formats() {
		encodings[f.Name()] = websocket.EncodingOf(f, false)
		encodings[f.Name()+" deflated"] = websocket.EncodingOf(f, true)
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
