package server

import (
	"io"
	"net/http"
	"time"
)

// Bounds of a connection over HTTP/2, which cost memory for as long as it lasts. The rest of what
// strangers try there net/http bounds by itself: streams that are reset at once wait for their
// handlers, of which no more run than there may be streams, and a connection with four times as
// many is closed; so is one whose headers go on without end, and one that has the server queue
// 10,000 answers to pings and settings.
const (
	maxStreams     = 250       // at a time; browsers open 100 or more
	maxFrame       = 16 << 10  // bytes of a frame that is received, the least there is
	receiveWindow  = 256 << 10 // bytes that may come before a handler has read them, on a connection and on a stream
	maxHeaderTable = 4 << 10   // bytes of headers that are remembered in each direction
)

// protocols are those that Serve speaks. Over TLS the client chooses (ALPN). Without TLS a client
// that begins with the preface of HTTP/2 gets that (RFC 9113, section 3.3), as proxies do that
// know their server; there is no Upgrade to it, which proxies have been known to pass on unseen.
func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// http2Config is for http.Server. A connection that takes nothing for stall is closed: until then
// not even the end of one of its streams can be told.
func http2Config(stall time.Duration) *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams:          maxStreams,
		MaxReadFrameSize:              maxFrame,
		MaxReceiveBufferPerConnection: receiveWindow,
		MaxReceiveBufferPerStream:     receiveWindow,
		MaxDecoderHeaderTableSize:     maxHeaderTable,
		MaxEncoderHeaderTableSize:     maxHeaderTable,
		WriteByteTimeout:              stall,
	}
}

// takeIdleBody reads what r, which needs no body, has in one all the same. Over HTTP/2 what nobody reads takes
// room from all others on the connection, for as long as a client listens.
func takeIdleBody(w http.ResponseWriter, r *http.Request) error {
	if r.ProtoMajor < 2 || r.ContentLength == 0 || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil
	}
	_, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, knownBody))
	switch p := bodyProblem(w, err); {
	case p != nil:
		return p
	case err != nil:
		return incomplete()
	}
	return nil
}

// closeDraining asks a client that makes a request of a server which stops to make the next one on
// another connection: it would come back on this one for as long as that lasts, and could send a
// request in the moment in which it is closed. Over HTTP/2 that ends nothing that is under way:
// net/http sends GOAWAY (RFC 9113, section 6.8).
func (s *Server) closeDraining(w http.ResponseWriter) {
	if s.draining.Load() || s.handedOver.Load() {
		w.Header().Set("Connection", "close")
	}
}
