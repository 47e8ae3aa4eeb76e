package nats

import (
	"slices"
	"strings"

	"github.com/pregon/pregon/broker"
)

// Subjects of a stream that are ours. No channel has them: where a channel's subject has a percent sign,
// two upper-case hexadecimal digits follow.
const (
	epochSubject = "%epoch"  // what begins an epoch
	runSubject   = "%run"    // which run of the server the epoch goes on in
	markSubject  = "%mark"   // what a node stores to know that the stream's leader knows of its subscriptions
	notePrefix   = "%note-"  // the newest position of a channel, so that it outlives its message
	probePrefix  = "%probe-" // the newest probe of a channel
)

// livePrefix begins the subjects on which the server sends what a stream has stored.
const livePrefix = "_PREGON."

// Names are the subjects of channels. With a history they are those of a stream.
type names struct {
	prefix   string
	stream   string   // its name, empty without a history
	subjects []string // that it stores, with wildcards
}

func newNames(o Options) names {
	n := names{prefix: o.Prefix}
	if o.History.IsZero() {
		return n
	}
	n.stream = "PREGON"
	if o.Prefix != "" {
		n.stream += "_" + streamWord(o.Prefix)
		n.subjects = []string{o.Prefix + ">"}
		return n
	}
	n.subjects = append([]string{"*"}, o.Subjects...)
	return n
}

// streamWord returns a prefix as part of the name of a stream, which has no dots.
func streamWord(prefix string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(".*>/\\ \t\r\n", r) {
			return '_'
		}
		return r
	}, strings.TrimSuffix(prefix, "."))
}

// subject returns the subject of a channel. Where the stream has none with its dots, they are encoded, too.
func (n names) subject(channel string) string {
	s := subjectOf(n.prefix, channel)
	if n.stream == "" || slices.ContainsFunc(n.subjects, func(pattern string) bool { return matches(pattern, s) }) {
		return s
	}
	return n.prefix + word(channel)
}

// live returns the subjects on which the messages of a channel are heard. With a history these are those that
// the server sends what it has stored on. Probes are heard in the node's own channels only.
func (n names) live(channel string) []string {
	switch {
	case n.stream == "":
		return []string{n.subject(channel)}
	case strings.HasPrefix(channel, broker.ReservedPrefix):
		return []string{n.liveOf(n.subject(channel)), n.liveOf(n.probe(channel))}
	}
	return []string{n.liveOf(n.subject(channel))}
}

func (n names) liveOf(subject string) string { return livePrefix + n.stream + "." + subject }

func (n names) note(channel string) string  { return n.prefix + notePrefix + word(channel) }
func (n names) probe(channel string) string { return n.prefix + probePrefix + word(channel) }
func (n names) epoch() string               { return n.prefix + epochSubject }
func (n names) mark() string                { return n.prefix + markSubject }
func (n names) run() string                 { return n.prefix + runSubject }

// word returns a channel as one token of a subject.
func word(channel string) string { return strings.ReplaceAll(subjectOf("", channel), ".", "%2E") }

// matches reports whether a subject is one of those that a pattern stands for.
func matches(pattern, subject string) bool {
	for {
		p, restOfPattern, moreOfPattern := strings.Cut(pattern, ".")
		s, rest, more := strings.Cut(subject, ".")
		switch {
		case p == ">":
			return true
		case p != "*" && p != s, more != moreOfPattern:
			return false
		case !more:
			return true
		}
		pattern, subject = restOfPattern, rest
	}
}
