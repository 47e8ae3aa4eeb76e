package presence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pregon/pregon/transport"
)

// Bounds of a member, which are those of tokens.
const (
	maxSubject = 255     // bytes
	maxInfo    = 1 << 10 // bytes of JSON
)

// CheckMember returns why nobody can be m in a channel: its subject is to have 1 to 255 bytes of
// UTF-8 without control and format characters, and its Info, where there is one, at most 1 KiB
// of JSON. The error is a [transport.MemberError], and has nothing of m in it.
func CheckMember(m transport.Member) error {
	switch {
	case m.Subject == "":
		return badMember("The sub of a member must not be empty.")
	case len(m.Subject) > maxSubject:
		return badMember("The sub of a member has at most %d bytes.", maxSubject)
	case !utf8.ValidString(m.Subject) || strings.ContainsFunc(m.Subject, isUnseen):
		return badMember("The sub of a member is UTF-8 without control and format characters.")
	case len(m.Info) > maxInfo:
		return badMember("The info of a member has at most %d bytes of JSON.", maxInfo)
	case len(m.Info) > 0 && (!utf8.Valid(m.Info) || !json.Valid(m.Info)):
		return badMember("The info of a member is JSON.")
	}
	return nil
}

func badMember(detail string, values ...any) error {
	return fmt.Errorf("presence: %w", &transport.MemberError{Detail: fmt.Sprintf(detail, values...)})
}

// isUnseen reports whether r is a control or format character, or ends a line.
func isUnseen(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }

// compact returns info, which is valid, as it comes out of a message: so all nodes have the same
// bytes of it. It is a copy.
func compact(info json.RawMessage) json.RawMessage {
	if len(info) == 0 {
		return nil
	}
	var b bytes.Buffer
	b.Grow(len(info))
	_ = json.Compact(&b, info) // it is valid
	return bytes.Clone(b.Bytes())
}
