package seal

import (
	"strings"
	"time"

	"github.com/pregon/pregon/broker"
)

// A Witness is a message that Redis is known to have kept, and then whatever was
// kept before it. The newest ones are enough: where anything is lost at the end,
// they are missing. The zero Witness is none.
type Witness struct {
	Channel string
	Sealed
	Seen time.Time // when it was heard, or the server's answer came
}

// Testifies reports whether the messages of a channel may be witnesses: they are not
// those to themselves that nodes publish all the time, of which one may be lost without harm.
func Testifies(channel string) bool { return !strings.HasPrefix(channel, broker.ReservedPrefix) }
