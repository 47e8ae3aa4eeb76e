// Package local lets a program hear channels of the server that it embeds, without HTTP.
//
// A [Subscription] is a client like any other: it joins by a [transport.Client], the hub
// encodes each message once for all of them, and what waits for one is bounded as for
// others. Where the program reads too slowly it misses messages, is fed from the history,
// or is ended, as the server is set, and [Subscription.Next] tells it. It never slows down
// the hub.
//
// The program keeps the position of what it has handled. It goes on behind that by a
// [transport.Subscription] with Since and After, and is told whether it has missed
// anything.
//
// # How it works
//
// The hub sends bytes to a socket.Socket, whose connection is a pipe in memory. So a
// message is taken apart again by its reader: that costs a copy of its data, and keeps
// the hub from knowing a second kind of client.
package local
