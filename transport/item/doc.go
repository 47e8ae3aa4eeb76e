// Package item reads what clients ask for as members of a JSON object: a message to publish, be it
// an item of a batch over HTTP or a command over a connection, and a channel to hear, be it a
// command or in a body. Its errors are problems, or say so.
package item
