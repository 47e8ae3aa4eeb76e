package server

import (
	"errors"
	"strings"

	"github.com/pregon/pregon/server/access/token"
)

// tokenCounts count tokens that were not valid, by reason: an audience or a key that does not fit is an operator's to
// mend, where a code says no more than that something was refused. It is no more than the log has.
type tokenCounts struct{ *nameCounts }

func newTokenCounts() tokenCounts { return tokenCounts{newNameCounts(token.Reasons())} }

// count counts the token that err is about, if it is.
func (c tokenCounts) count(err error) {
	if invalid, ok := errors.AsType[*token.InvalidError](err); ok {
		c.add(invalid.Reason)
	}
}

// byReason returns how many there were, by reasons in the form of a label.
func (c tokenCounts) byReason() map[string]uint64 {
	by := map[string]uint64{}
	for reason, n := range c.byName() {
		by[strings.ReplaceAll(reason, " ", "_")] = n
	}
	return by
}
