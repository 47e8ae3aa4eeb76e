package cmd

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// What tidy goes by.
const (
	tidyInterval = 5 * time.Second
	quietBytes   = 512 << 10 // allocated in one interval at most, where little is going on
	untidyBytes  = 4 << 20   // allocated since the last time at least, to be worth the trouble
	tidyRounds   = 3         // as a collection halves a stack that is too large
)

// tidy gives memory back once little is going on. The runtime collects garbage when so
// much has been allocated: after a storm of joins nothing is, and what the handshakes
// needed would stay for as long as the connections. It returns when ctx ends.
func tidy(ctx context.Context) {
	tick := time.NewTicker(tidyInterval)
	defer tick.Stop()
	before, tidied := allocated(), allocated()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := allocated()
		if now-before < quietBytes && now-tidied >= untidyBytes {
			for range tidyRounds {
				debug.FreeOSMemory()
			}
			tidied = now
		}
		before = now
	}
}

// background runs task until the function that it returns is called, which waits for it.
func background(ctx context.Context, task func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { task(ctx) })
	return func() { cancel(); running.Wait() }
}

// allocated returns how many bytes the program has allocated since it began.
func allocated() uint64 {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64()
}
