package websocket

import "github.com/pregon/pregon/transport"

// Close codes: those of RFC 6455 section 7.4.1 that a server of ours sends, and our
// own from the range for applications.
const (
	GoingAway   = 1001
	Protocol    = 1002
	Unsupported = 1003
	InvalidData = 1007
	Policy      = 1008
	TooBig      = 1009
	Gap         = 4001
	Idle        = 4002
	Unrecovered = 4003
	Slow        = 4008
	Expired     = 4009
	Limit       = 4010
	Forbidden   = 4100 // and from there to 4199 all after which a client must not come back
)

// closes is the close frame of each reason of the hub's.
var closes = map[transport.CloseReason][]byte{
	transport.CloseShutdown: CloseFrame(GoingAway, "server stopping, reconnect"),
	transport.CloseGap:      CloseFrame(Gap, "messages may be missing, reconnect"),
	transport.CloseIdle:     CloseFrame(Idle, "no answer to pings, reconnect"),
	transport.CloseSlow:     CloseFrame(Slow, "reading too slowly, reconnect"),

	transport.CloseUnrecovered: CloseFrame(Unrecovered, "cannot continue there, reconnect without since"),
	transport.CloseDenied:      CloseFrame(Forbidden, "the channel is no longer allowed"),

	transport.CloseExpired:   CloseFrame(Expired, "credential expired, reconnect with a new one"),
	transport.CloseLimit:     CloseFrame(Limit, "too many connections, reconnect later"),
	transport.CloseForbidden: CloseFrame(Forbidden, "no longer allowed"),
}

// CloseOf returns the close frame of a reason of the hub's.
func CloseOf(reason transport.CloseReason) []byte { return closes[reason] }

// A CloseError ends a connection with a code.
type CloseError struct {
	Code   int
	Reason string // at most 123 bytes
}

// Error implements error.
func (e *CloseError) Error() string { return "websocket: closed: " + e.Reason }

// Why a connection ends because of what its client sends.
var (
	errFlood      = &CloseError{Policy, "sending too much"}
	errNotUTF8    = &CloseError{InvalidData, "text is not UTF-8"}
	errHalfCode   = &CloseError{Protocol, "half a close code"} // RFC 6455 section 5.5.1
	errReserved   = &CloseError{Protocol, "RSV1 set"}          // section 5.2
	errLength     = &CloseError{Protocol, "a length of 64 bits"}
	errNotDeflate = &CloseError{InvalidData, "not well compressed"}
	errTooBig     = &CloseError{Code: TooBig}
)
