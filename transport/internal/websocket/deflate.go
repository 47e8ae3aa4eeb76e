package websocket

import (
	"bytes"
	"compress/flate"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Compression is permessage-deflate (RFC 7692) without context takeover: each
// message is compressed by itself, so that one compression serves every client.

// minDeflate is the shortest payload in bytes that is compressed: below, what
// deflate adds is most of what it saves.
const minDeflate = 128

// rsv1 in the first byte of a frame says that its message is compressed.
const rsv1 = 0x40

// tail ends what a flush of deflate writes, and is left out on the wire (RFC
// 7692 section 7.2.1).
const tail = "\x00\x00\xff\xff"

// A deflater is what one compression at a time needs.
type deflater struct {
	out    bytes.Buffer
	writer *flate.Writer
}

var deflaters = sync.Pool{New: func() any {
	d := new(deflater)
	d.writer, _ = flate.NewWriter(&d.out, flate.BestSpeed) // the level is valid
	return d
}}

// deflate returns room for a header and the compressed payload, or false where
// that is not shorter.
func deflate(payload []byte) (framed []byte, ok bool) {
	if len(payload) < minDeflate {
		return nil, false
	}
	d := deflaters.Get().(*deflater)
	defer deflaters.Put(d)
	d.out.Reset()
	d.writer.Reset(&d.out)
	// A Buffer takes everything.
	_, _ = d.writer.Write(payload)
	_ = d.writer.Flush()
	short := bytes.TrimSuffix(d.out.Bytes(), []byte(tail))
	if len(short) >= len(payload) {
		return nil, false
	}
	return append(Room(len(short)), short...), true
}

// OffersDeflate reports whether the client offers permessage-deflate in a way
// that is accepted by asking both sides for no context takeover (RFC 7692
// section 7.1). An offer that limits the server's window would have to be
// answered with that limit, which this server does not keep.
func OffersDeflate(h http.Header) bool {
	for _, list := range h.Values("Sec-WebSocket-Extensions") {
		for offer := range strings.SplitSeq(list, ",") {
			name, parameters, _ := strings.Cut(offer, ";")
			if strings.TrimSpace(name) == "permessage-deflate" && accepted(parameters) {
				return true
			}
		}
	}
	return false
}

// accepted reports whether each parameter is one that may be offered, once.
func accepted(parameters string) bool {
	seen := map[string]bool{}
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, valued := strings.Cut(strings.TrimSpace(parameter), "=")
		if seen[name] {
			return false
		}
		seen[name] = true
		switch name {
		case "":
			if parameters != "" {
				return false
			}
		case "server_no_context_takeover", "client_no_context_takeover":
			if valued {
				return false
			}
		case "client_max_window_bits":
			bits, err := strconv.Atoi(strings.Trim(value, `"`))
			if valued && (err != nil || bits < 8 || bits > 15) {
				return false
			}
		default:
			return false
		}
	}
	return true
}
