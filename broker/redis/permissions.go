package redis

import (
	"slices"
	"strings"

	"github.com/pregon/pregon/broker"
)

// Commands that the user of an ACL needs, in the words of ACL SETUSER.
var (
	needed          = []string{"publish", "subscribe", "unsubscribe", "ping"}
	neededHistory   = []string{"info", "eval", "evalsha", "script|load", "xadd", "xrange", "xrevrange", "xinfo|stream", "xinfo|groups", "xgroup|create", "xgroup|setid", "get", "set", "incr", "exists", "pexpire", "unlink", "time"}
	optionalHistory = []string{"config|get", "function|load", "function|list"}
	neededSentinels = []string{"role"}
	neededDB        = []string{"select"}
)

// permissions returns what the user of an ACL needs for o, and no more.
func (o Options) permissions() (commands []string) {
	commands = slices.Clone(needed)
	if !o.History.IsZero() {
		commands = slices.Concat(commands, neededHistory, optionalHistory)
	}
	if o.Master != "" {
		commands = append(commands, neededSentinels...)
	}
	if o.DB != 0 {
		commands = append(commands, neededDB...)
	}
	return commands
}

// aclLine returns the command that makes a user with exactly the permissions that a
// node needs. What would have to be quoted in the prefix, or means something in a
// pattern, is a question mark, which matches it.
func (o Options) aclLine() string {
	prefix := strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7F || strings.ContainsRune(`*?[]\'"`, r) {
			return '?'
		}
		return r
	}, o.Prefix)
	words := []string{"ACL SETUSER pregon reset on >PASSWORD", "&" + prefix + "*"}
	if !o.History.IsZero() {
		words = append(words, "~"+prefix+"__pregon:*")
	}
	for _, c := range o.permissions() {
		words = append(words, "+"+c)
	}
	return strings.Join(words, " ")
}

// finding says what the user of an ACL needs.
func (o Options) finding() broker.Finding {
	f := broker.Finding{Severity: broker.Fine, Subject: "permissions", Advice: o.aclLine()}
	f.Detail = "A user for pregon alone is made as follows, where the channels may be narrowed as long as those of __pregon* are among them."
	if !o.History.IsZero() {
		f.Detail += " " + strings.ToUpper(strings.Join(optionalHistory, ", ")) + " may be left out."
	}
	return f
}

// lacking says what a reply of Redis that begins with NOPERM, or is of that kind,
// says that the user may not do. It repeats nothing of the reply but the name of a
// command that we use.
func lacking(text string) string {
	all := slices.Concat(needed, neededHistory, optionalHistory, neededSentinels, neededDB)
	for _, c := range all {
		if strings.Contains(text, "'"+c+"' command") {
			return "the user has no permission for the command " + strings.ToUpper(c)
		}
	}
	switch {
	case strings.HasSuffix(text, "for the stream"): // the script's own word
		return "the user has no permission for the command XADD, or for a key of the history"
	case strings.Contains(text, "script can't run"):
		return "the user has no permission for a command of the script"
	case strings.Contains(text, "access") && strings.Contains(text, "keys"):
		return "the user has no permission for a key of the history"
	case strings.Contains(text, "channel"):
		return "the user has no permission for the channel"
	}
	return noPermission
}
