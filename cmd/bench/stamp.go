package bench

import "time"

// Widths of the fields of a stamp in hexadecimal digits.
const (
	publisherDigits = 4
	numberDigits    = 8
	timeDigits      = 12
)

// MinSize is the length of a stamp, and so of the shortest message, in bytes.
const MinSize = publisherDigits + numberDigits + timeDigits

// maxPublishers is how many a stamp can tell apart.
const maxPublishers = 1 << (4 * publisherDigits)

// A stamp is what the first bytes of every message say: hexadecimal digits of a
// fixed width, which no format needs to escape.
type stamp struct {
	publisher int
	number    int64         // of this publisher on this channel, from 0
	intended  time.Duration // when it was to be sent, since the round's epoch
}

// put writes s over the first MinSize bytes of message.
func (s stamp) put(message []byte) {
	putHex(message[:publisherDigits], uint64(s.publisher))
	putHex(message[publisherDigits:publisherDigits+numberDigits], uint64(s.number))
	putHex(message[publisherDigits+numberDigits:MinSize], uint64(s.intended))
}

// parseStamp reports false where message does not begin with a stamp.
func parseStamp(message []byte) (stamp, bool) {
	if len(message) < MinSize {
		return stamp{}, false
	}
	publisher, ok1 := parseHex(message[:publisherDigits])
	number, ok2 := parseHex(message[publisherDigits : publisherDigits+numberDigits])
	intended, ok3 := parseHex(message[publisherDigits+numberDigits : MinSize])
	return stamp{int(publisher), int64(number), time.Duration(intended)}, ok1 && ok2 && ok3
}

func putHex(dst []byte, v uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = "0123456789abcdef"[v&15]
		v >>= 4
	}
}

func parseHex(src []byte) (v uint64, ok bool) {
	for _, c := range src {
		switch {
		case '0' <= c && c <= '9':
			v = v<<4 | uint64(c-'0')
		case 'a' <= c && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}
