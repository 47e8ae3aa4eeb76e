// Package pipeline publishes: many callers' messages, over few connections, each sent at
// most once.
//
// A [Pipeline] takes messages from any number of callers and has one pipeline of commands
// under way at a time. A caller that finds none sends at once; what others publish
// meanwhile goes together in the next, which is bounded, and so is the queue for it.
// Order is kept for each caller.
//
// How a message is written is up to Options.Send, which gives each [Message] its
// [Command]s and has the [Transmitter] write them. Without it a message is one PUBLISH.
// Nothing here repeats a command.
//
// Whether a message was sent is never in doubt on this side: go-redis asks a Command for
// its words when it has a connection and writes them, and that is when the message is
// committed. One that its caller gave up before is not sent; its place is taken by
// the command's bare name, which Redis refuses. What was committed and not answered
// matches [broker.ErrUncertain].
//
// Methods of a Pipeline may be called concurrently. It runs one goroutine while requests
// wait, and no longer; Close waits for it. Messages and Commands belong to the goroutine
// that sends them.
//
//	publish.go    from messages to results
//	request.go    what one caller sends together
//	pipeline.go   whose turn it is
//	message.go    a message, its commands, and what became of it
//	command.go    a command that can be given up until it is written
//	transmit.go   writing, and the outcome of each
package pipeline
