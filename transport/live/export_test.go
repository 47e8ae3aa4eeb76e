package live

import "github.com/pregon/pregon/transport"

// Parse returns what the parser of a server with a history makes of a text, for the tests: what is to be done, or
// the error, and the ref and the channel to answer with. It reports false for what has no answer.
func Parse(text string, maxMessage int64, keepsHistory bool) (c *Command, err error, ok bool) {
	cmd, err := parser{maxMessage, keepsHistory}.parse([]byte(text))
	if err == errNoObject {
		return nil, err, false
	}
	return &Command{cmd}, err, true
}

// RefOf is refOf.
func RefOf(beginning string) string { return string(refOf([]byte(beginning))) }

// A Command is a command.
type Command struct{ *command }

// NewCommand returns a command with nothing but its kind and channel.
func NewCommand(kind, channel string) *Command {
	return &Command{&command{kind: kinds[kind].kind, channel: channel}}
}

// Ref and the others return what is in c.
func (c *Command) Ref() string     { return string(c.ref) }
func (c *Command) Channel() string { return c.channel }
func (c *Command) Token() string   { return c.token }
func (c *Command) Data() (data, key string, binary bool) {
	return string(c.message.Data), c.message.Key, c.message.Binary
}
func (c *Command) Subscription() *transport.Subscription { return c.subscription }

// Kind returns the type of c.
func (c *Command) Kind() string {
	for name, k := range kinds {
		if k.kind == c.kind {
			return name
		}
	}
	return ""
}

// A Queue is a queue.
type Queue struct{ q queue }

// Add and Done return what may begin: groups of commands that are done together.
func (q *Queue) Add(c *Command) [][]*Command { return groups(q.q.add(c.command)) }

// Done is for one of those groups.
func (q *Queue) Done(group []*Command) [][]*Command {
	var done []*command
	for _, c := range group {
		done = append(done, c.command)
	}
	return groups(q.q.done(done...))
}

// Len returns how many commands are there.
func (q *Queue) Len() int { return len(q.q.commands) }

func groups(s start) (all [][]*Command) {
	for _, c := range s.others {
		all = append(all, []*Command{{c}})
	}
	var together []*Command
	for _, c := range s.publish {
		together = append(together, &Command{c})
	}
	if together != nil {
		all = append(all, together)
	}
	return all
}
