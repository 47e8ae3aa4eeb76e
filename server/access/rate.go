package access

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// A Rate is how many publications are taken in a time: Events each Per, and as many at once.
// The zero Rate is no limit.
type Rate struct {
	Events int
	Per    time.Duration
}

// IsZero reports whether r is no limit.
func (r Rate) IsZero() bool { return r.Events == 0 }

// ErrRate means that a text is no Rate.
var ErrRate = errors.New("access: not a rate such as 5/s, 300/m or 1000/h")

var units = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}

// maxEvents bounds a Rate.
const maxEvents = 1_000_000

// ParseRate reads 5/s, 300/m or 1000/h.
func ParseRate(text string) (Rate, error) {
	count, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseUint(count, 10, 31)
	per, known := units[unit]
	if err != nil || !known || n == 0 || n > maxEvents {
		return Rate{}, ErrRate
	}
	return Rate{int(n), per}, nil
}

// String returns r as ParseRate reads it, and the empty string for no limit.
func (r Rate) String() string {
	for unit, per := range units {
		if per == r.Per && r.Events > 0 {
			return strconv.Itoa(r.Events) + "/" + unit
		}
	}
	return ""
}
