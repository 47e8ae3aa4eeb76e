package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
)

const (
	unlimited = math.MaxUint64
	// spare is how many descriptors there are for everything else.
	spare = 32
)

// errInterrupted is why there is no report at all.
var errInterrupted = errors.New("interrupted before anything was measured")

// Run measures as o says and returns what it has found; see Report.Err for
// whether the server has passed. It returns an error, and no Report, where o
// makes no sense or a measurement could not begin. When ctx ends, it publishes
// nothing more and reports what there is.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if need, have := uint64(o.Subscribers)+uint64(o.Publishers)+spare, descriptors(); need > have {
		return nil, fmt.Errorf("%s and %s need %d file descriptors, and the limit is %d: raise it (ulimit -n) or take fewer",
			plural(o.Subscribers, "subscriber"), plural(o.Publishers, "publisher"), need, have)
	}
	var servers, floors []*measurement
	for i := range o.Rounds {
		if o.Floor != nil && ctx.Err() == nil {
			m, err := o.measure(ctx, Progress{What: "floor", Round: i + 1}, o.Floor)
			if err != nil {
				return nil, fmt.Errorf("floor: %w", err)
			}
			floors = append(floors, m)
		}
		if ctx.Err() != nil && i > 0 {
			break
		}
		m, err := o.measure(ctx, Progress{What: "server", Round: i + 1}, o.Server)
		if err != nil {
			return nil, err
		}
		servers = append(servers, m)
	}
	return newReport(&o, servers, floors, ctx.Err() != nil), nil
}

// measure does one round, on the server that command starts or on the one that
// runs.
func (o *Options) measure(ctx context.Context, blank Progress, command func() *exec.Cmd) (*measurement, error) {
	if ctx.Err() != nil {
		return nil, errInterrupted
	}
	blank.Rounds = o.Rounds
	if o.URL != "" && blank.What == "server" {
		t, err := newTarget(o.URL, o.PID)
		if err != nil {
			return nil, err
		}
		m, err := o.watched(ctx, t, blank)
		if m != nil && blank.Round > 1 {
			m.memKnown = false // the memory that it took before is taken again
		}
		return m, err
	}
	p, err := startProcess(ctx, command())
	if err != nil {
		return nil, err
	}
	defer p.stop()
	m, err := o.watched(ctx, p.target, blank)
	if err != nil {
		return nil, p.explain(err)
	}
	return m, nil
}

func (o *Options) watched(ctx context.Context, t target, blank Progress) (*measurement, error) {
	if blank.What == "server" {
		t = t.as(o)
	}
	r := newRound(o, t)
	w := newWatch(r, blank, o.Progress)
	defer w.close()
	return r.run(ctx, w)
}
