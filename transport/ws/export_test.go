package ws

import "github.com/pregon/pregon/transport"

// Encoding returns the encoding of a format.
func Encoding(format string, deflate bool) transport.Encoding {
	f, _ := transport.FormatByName(format)
	return &encoding{f, deflate}
}
