package nats

import "github.com/pregon/pregon/broker"

// SubjectOf is subjectOf.
var SubjectOf = subjectOf

// Unchecked is New without a look at the Options.
func Unchecked(o Options) broker.Broker { return newBroker(o) }

// KeptSubject returns the subject of a channel of a stream that stores some more of several tokens.
func KeptSubject(channel string, subjects ...string) string {
	return newNames(Options{History: broker.Retention{MaxMessages: 1}, Subjects: subjects}).subject(channel)
}

// Epochs returns what says where numbers are, and where positions begin, in epochs that begin at some numbers. The
// epoch ahead of all is 9, and they are 10, 20, 30 and so on.
func Epochs(begins ...uint64) (at func(seq uint64) broker.Position, from func(broker.Position) uint64) {
	var e epochs
	for i, seq := range begins {
		e = append(e, begin{seq, 10 * uint64(i+1)})
	}
	return e.at, e.from
}
