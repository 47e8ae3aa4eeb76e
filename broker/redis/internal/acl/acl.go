// Package acl knows what the user of an ACL needs: which commands, channels and keys, the
// command that makes such a user, and what a refusal says that is missing.
package acl

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

// NoPermission is what a refusal means that does not say more.
const NoPermission = "the user has no permission"

// A Use is what a user is for.
type Use struct {
	Prefix    string // of all names
	History   bool   // messages are kept
	Sentinels bool   // the server is one that Sentinels name
	Database  bool   // other than 0
}

// commands returns what the user of an ACL needs for u, and no more.
func (u Use) commands() (commands []string) {
	commands = slices.Clone(needed)
	if u.History {
		commands = slices.Concat(commands, neededHistory, optionalHistory)
	}
	if u.Sentinels {
		commands = append(commands, neededSentinels...)
	}
	if u.Database {
		commands = append(commands, neededDB...)
	}
	return commands
}

// line returns the command that makes a user with exactly the permissions that a
// node needs. What would have to be quoted in the prefix, or means something in a
// pattern, is a question mark, which matches it.
func (u Use) line() string {
	prefix := strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7F || strings.ContainsRune(`*?[]\'"`, r) {
			return '?'
		}
		return r
	}, u.Prefix)
	words := []string{"ACL SETUSER pregon reset on >PASSWORD", "&" + prefix + "*"}
	if u.History {
		words = append(words, "~"+prefix+"__pregon:*")
	}
	for _, c := range u.commands() {
		words = append(words, "+"+c)
	}
	return strings.Join(words, " ")
}

// Finding says what the user of an ACL needs.
func (u Use) Finding() broker.Finding {
	f := broker.Finding{Severity: broker.SeverityOK, Subject: "permissions", Advice: u.line()}
	f.Detail = "A user for pregon alone is made as follows, where the channels may be narrowed as long as those of __pregon* are among them."
	if u.History {
		f.Detail += " " + strings.ToUpper(strings.Join(optionalHistory, ", ")) + " may be left out."
	}
	return f
}

// Lacking says what a reply of Redis that begins with NOPERM, or is of that kind,
// says that the user may not do. It repeats nothing of the reply but the name of a
// command that we use.
func Lacking(text string) string {
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
	return NoPermission
}
