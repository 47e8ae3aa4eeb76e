package broker

// traceparentBytes is how long a traceparent of version 00 is.
const traceparentBytes = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

// sampledTrace returns a traceparent that a message may carry, and otherwise the empty string:
// any program that can write to the backend may have put anything there.
func sampledTrace(text string) string {
	if len(text) != traceparentBytes || text[:3] != "00-" || text[35] != '-' || text[52] != '-' {
		return ""
	}
	trace, span, flags := text[3:35], text[36:52], text[53:]
	if !isID(trace) || !isID(span) || !isHex(flags) || hexDigit(flags[1])&1 == 0 {
		return ""
	}
	return text
}

// isID reports whether text is lower-case hexadecimal digits that are not all zero.
func isID(text string) bool {
	for i := range len(text) {
		if text[i] != '0' {
			return isHex(text)
		}
	}
	return false
}

func isHex(text string) bool {
	for i := range len(text) {
		if hexDigit(text[i]) < 0 {
			return false
		}
	}
	return true
}

// hexDigit returns the value of a lower-case hexadecimal digit, -1 for any other byte.
func hexDigit(b byte) int {
	switch {
	case '0' <= b && b <= '9':
		return int(b - '0')
	case 'a' <= b && b <= 'f':
		return int(b-'a') + 10
	}
	return -1
}
