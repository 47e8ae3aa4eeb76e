package cmd

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/pregon/pregon/cmd/handover"
)

// wishes are what signals ask of a server: to read its files again, SIGHUP, and to be replaced, SIGUSR2.
type wishes struct{ reload, replace <-chan os.Signal }

// expectWishes takes note of one wish of each kind until ignore is called. That begins ahead of the start, which may take
// seconds, and ends behind the last client: a signal that nobody expects ends a process.
func expectWishes() (w wishes, ignore func()) {
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	replace, forget := handover.Signals()
	return wishes{reload, replace}, func() { signal.Stop(reload); forget() }
}
