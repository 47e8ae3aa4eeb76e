package nats

import "strings"

const upperhex = "0123456789ABCDEF"

// subjectOf returns the subject of a channel, behind a prefix. No two channels have the same.
//
// Percent-encoded are: bytes up to the space and DEL, which end a subject or a line; * and >, which
// would match others; % itself; a dot that would make an empty token; and the first byte of names that
// begin with $ or _INBOX, which are NATS' own.
func subjectOf(prefix, channel string) string {
	var b strings.Builder
	b.Grow(len(prefix) + len(channel))
	b.WriteString(prefix)
	ours := strings.HasPrefix(channel, "$") || strings.HasPrefix(channel, "_INBOX")
	for i := range len(channel) {
		switch c := channel[i]; {
		case c <= ' ', c == 0x7F, c == '*', c == '>', c == '%', i == 0 && ours && prefix == "",
			c == '.' && (i == 0 || i == len(channel)-1 || channel[i-1] == '.'):
			b.WriteByte('%')
			b.WriteByte(upperhex[c>>4])
			b.WriteByte(upperhex[c&15])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
