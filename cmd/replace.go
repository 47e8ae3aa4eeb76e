package cmd

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/cmd/handover"
	"github.com/pregon/pregon/server"
)

// replaceAtSignals returns a context that ends with the cause server.ErrHandedOver when another
// process has taken over, which SIGUSR2 asks for. stop waits for what it has begun.
func (c *serveCommand) replaceAtSignals(ctx context.Context, wishes <-chan os.Signal, b broker.Broker, sockets *handover.Listeners, log *slog.Logger) (serving context.Context, stop func()) {
	serving, end := context.WithCancelCause(ctx)
	wait := background(serving, func(ctx context.Context) {
		c.replaceAt(ctx, wishes, b, sockets, log)
		end(server.ErrHandedOver) // or ctx has ended before, which counts
	})
	quiet := context.AfterFunc(ctx, func() { tellSystemd(log, handover.Notify("STOPPING=1")) })
	return serving, func() { quiet(); wait(); end(nil) }
}

// replaceAt returns when another process has taken over, or ctx has ended.
func (c *serveCommand) replaceAt(ctx context.Context, wishes <-chan os.Signal, b broker.Broker, sockets *handover.Listeners, log *slog.Logger) {
	for {
		select {
		case <-wishes:
		case <-ctx.Done():
			return
		}
		if _, embedded := b.(broker.Embedded); embedded {
			log.Error("no other process takes over, as what the broker keeps is in this one", "broker", redacted(c.Broker))
			continue
		}
		pid, err := sockets.Replace(ctx)
		if err == nil {
			log.Info("another process has taken over", "pid", pid)
			tellSystemd(log, handover.MainPID(pid))
			return
		}
		log.Error("no other process has taken over; this one goes on", "error", plainly(err))
	}
}

// tellSystemd logs what went wrong in telling: nobody else suffers from it.
func tellSystemd(log *slog.Logger, err error) {
	if err != nil {
		log.Warn("the manager of services, or the process before, was not told", "error", err)
	}
}

// beside runs task in the background until stop is called, which is when nobody is served any more, or another process has
// taken over.
func beside(serving context.Context, task func(context.Context)) (stop func()) {
	ctx, end := context.WithCancel(context.WithoutCancel(serving))
	leave := context.AfterFunc(serving, func() {
		if errors.Is(context.Cause(serving), server.ErrHandedOver) {
			end()
		}
	})
	wait := background(ctx, task)
	return func() { leave(); end(); wait() }
}
