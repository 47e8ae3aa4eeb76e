// Package stream keeps the histories of channels in streams of one server.
//
// A [Server] is what this node knows of that server: which life it is in, which secret
// the deployment has, which epochs were seen. It reads, keeps and clears histories, and
// places marks. A [Writer] publishes: it is what a pipeline has to send its messages by.
// Keys and scripts are those of package script; what stands in them is shared with nodes
// of other versions.
//
// A server's life is the time from its start to its end, or until another takes over. The
// text of the publishing script names the life, so that a new one does not know it and
// answers NOSCRIPT, which means that nothing was done. The Writer then asks the server
// for its life, which decides about a new epoch (script.Record), and sends again what was
// not executed. Nothing else is repeated.
//
// A node tells the server, whenever it asks, its witnesses: the newest messages that it
// has published and heard. Where one is missing, something was lost, and a new epoch
// begins. An epoch or a number that no publication can have is another program's doing
// and is not believed.
//
// Send is called by one goroutine at a time; all else may be called concurrently. Nothing
// here runs by itself. Errors of Send are the messages' outcomes. Other errors are those
// of go-redis and of Redis, as they are: they can repeat what was sent, and the caller
// turns them with reply.Outcome.
//
//	server.go    asking a server for its life
//	life.go      what it answers
//	witness.go   what must still be there
//	epochs.go    which positions are possible
//	writer.go    publishing
//	history.go   reading, keeping and clearing; page.go reads one page
//	mark.go      where messages of other programs were heard
//	teach.go     publishing for other programs
package stream
