package presence

import (
	"bytes"
	"encoding/json"
	"fmt"
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
// of JSON. The error matches [transport.ErrMember], and has nothing of m in it.
func CheckMember(m transport.Member) error {
	switch {
	case !isSubject(m.Subject):
		return fmt.Errorf("presence: %w: the subject is not 1 to %d bytes of UTF-8 without control and format characters", transport.ErrMember, maxSubject)
	case len(m.Info) > 0 && !isInfo(m.Info):
		return fmt.Errorf("presence: %w: the info is not JSON of at most %d bytes", transport.ErrMember, maxInfo)
	}
	return nil
}

func isSubject(s string) bool {
	if s == "" || len(s) > maxSubject || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return false
		}
	}
	return true
}

func isInfo(info json.RawMessage) bool {
	return len(info) <= maxInfo && utf8.Valid(info) && json.Valid(info)
}

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
