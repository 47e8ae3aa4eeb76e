// Package handover lets one process of the program take the place of another without a refused
// connection: the listening sockets are passed on, and what waits in them is accepted by either
// of the two. It also tells systemd how the process is doing.
//
// # Sockets that are inherited
//
// They come as systemd passes them on (sd_listen_fds(3)): LISTEN_FDS descriptors from 3 on, for the
// process LISTEN_PID, with the names in LISTEN_FDNAMES, parted by colons. A name may stand there more
// than once: all sockets of a name are one listener, as localhost has two. The variables of another
// process are ignored, and all are unset, so that no child takes them for its own.
//
// # A process that starts the next one
//
// The descriptors are passed on in the same way, but for LISTEN_PID, which nobody knows ahead of the
// start: HANDOVER_PARENT has the process that starts it, in its place, and HANDOVER_READY the
// descriptor of a pipe. The new process writes a line there when it is about to accept, with
// its broker examined. Until then the old one serves as if nothing were; where the pipe ends without
// the line, or it takes too long, the new one is killed, and the old one goes on. Otherwise the old one closes
// its descriptors of the sockets, which closes nothing that waits in them, and drains.
//
// SO_REUSEPORT was rejected: each process has a queue of its own then, and what waits in that of the
// old one is reset when it closes.
package handover
