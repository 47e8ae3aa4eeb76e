// Package bench is a load test of a fan-out server, and what is behind pregon
// bench: subscribers over WebSocket, server-sent events or /live, publishers over HTTP
// or /live, and a Report of how fast every message reached everybody.
//
// # What a message carries
//
// The first MinSize bytes of a message are its stamp: who published it, its
// number among that publisher's messages on the channel, and when it was to be
// sent. So each subscriber can tell what it has lost, heard twice or heard out of
// order, exactly, and how long it took.
//
// # What is measured
//
// Latency runs from when a message was to be sent: with a rate, that is a time
// table made beforehand. Where the server holds up one publication, the ones that
// wait behind it are late, too, and are counted so; this avoids what Gil Tene
// calls coordinated omission. A message has arrived when the read that brought it
// returned. Percentiles are those of an HdrHistogram of all deliveries.
//
// The time of a round is from the first publication to the last arrival. CPU time
// is the server process's own in that time, in the kernel and outside. Memory a
// connection is what the server grew by while all subscribers connected.
//
// # The floor
//
// A floor is a server that does nothing but one write(2) of a ready frame for
// each subscriber: see ServeFloor. No server that sends each message at once can
// take less of the same machine. Measured in the same run, turn about, it makes
// results of different machines comparable.
package bench
