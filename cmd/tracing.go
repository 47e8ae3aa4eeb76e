package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/pregon/pregon/cmd/traces"
	"github.com/pregon/pregon/server/tracing"
)

// startTraces returns a Tracer as the variables of OpenTelemetry ask for, nil where they do not, and what
// ends it.
func startTraces(ctx context.Context, log *slog.Logger) (*tracing.Tracer, func(), error) {
	tracer, end, err := traces.Start(ctx, versionName(), log)
	if errors.Is(err, traces.ErrVariable) {
		return nil, nil, fmt.Errorf("%w%w", err, errUsage)
	}
	return tracer, end, err
}
