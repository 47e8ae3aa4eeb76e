// Package item reads a message that is published as members of a JSON object: an item of a batch
// over HTTP, or a command over a connection. Its errors are problems.
package item
