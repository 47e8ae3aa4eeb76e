package pipeline

import goredis "github.com/redis/go-redis/v9"

// A Command is written once, and not after its caller gave up.
type Command struct {
	goredis.Cmder
	request  *request
	sent     bool // it may have been written
	answered bool // go-redis has said something of it
}

// Args returns the words of the command. go-redis asks for them once, when it has
// a connection and writes them to it: the last moment to give up. What is written
// in place of a command that was given up is its name alone, which Redis refuses
// for want of arguments.
func (c *Command) Args() []any {
	if c.sent || !c.request.commit() {
		return c.Cmder.Args()[:1]
	}
	c.sent = true
	return c.Cmder.Args()
}

// SetErr is what go-redis calls with the answer, nil for one that accepts, or with
// the failure of the pipeline. The first call counts: after a failure there is
// another, also for what had been answered before.
func (c *Command) SetErr(err error) {
	if !c.answered {
		c.answered = true
		c.Cmder.SetErr(err)
	}
}

// Accepted reports whether the answer was the number 1.
func (c *Command) Accepted() bool {
	answer, ok := c.Cmder.(*goredis.Cmd)
	if !ok || !c.answered || c.Err() != nil {
		return false
	}
	n, err := answer.Int()
	return err == nil && n == 1
}
