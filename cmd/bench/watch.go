package bench

import (
	"sync"
	"time"
)

// Progress is how far a run has come.
type Progress struct {
	What          string // "server" or "floor"
	Round, Rounds int    // counted from 1
	Connected     int64
	Subscribers   int
	Publishing    bool // or still connecting
	Published     int64
	Delivered     int64
	Rate          float64       // deliveries a second, of late
	Elapsed       time.Duration // since publishing began
}

// A Sample is what happened in one step of a round.
type Sample struct {
	Seconds      float64 `json:"seconds"` // of the end of the step, since publishing began
	Deliveries   float64 `json:"deliveries_per_second"`
	Publications float64 `json:"publications_per_second"`
}

const (
	firstStep  = 20 * time.Millisecond
	maxSamples = 512 // beyond it two steps become one
	tellEvery  = 250 * time.Millisecond
)

// A watch samples a round and tells of its progress, in a goroutine that
// close waits for.
type watch struct {
	round  *round
	tell   func(Progress)
	blank  Progress
	stop   chan struct{}
	done   sync.WaitGroup
	mu     sync.Mutex
	start  time.Duration // since the epoch; 0 before publishing
	step   time.Duration
	points []point
}

// A point is the totals at one time.
type point struct {
	at                   time.Duration // since publishing began
	delivered, published int64
}

func newWatch(r *round, blank Progress, tell func(Progress)) *watch {
	w := &watch{round: r, tell: tell, blank: blank, stop: make(chan struct{}), step: firstStep}
	w.done.Go(w.run)
	return w
}

// close ends the goroutine and waits for it.
func (w *watch) close() {
	close(w.stop)
	w.done.Wait()
}

func (w *watch) run() {
	ticker := time.NewTicker(firstStep)
	defer ticker.Stop()
	told, before := time.Now(), point{}
	for {
		select {
		case <-w.stop:
			return
		case <-ticker.C:
		}
		now := w.sample()
		if since := time.Since(told); since >= tellEvery && w.tell != nil {
			w.tell(w.progress(now, float64(now.delivered-before.delivered)/since.Seconds()))
			told, before = time.Now(), now
		}
	}
}

func (w *watch) now() point {
	return point{time.Since(w.round.epoch) - w.start, w.round.delivered(), w.round.accepted.Load()}
}

// last returns the latest point, or that of the beginning.
func (w *watch) last() point {
	if len(w.points) == 0 {
		return point{}
	}
	return w.points[len(w.points)-1]
}

// sample notes a point where one is due.
func (w *watch) sample() point {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.now()
	if w.start == 0 {
		return point{}
	}
	if p.at-w.last().at >= w.step {
		w.points = append(w.points, p)
	}
	if len(w.points) >= maxSamples {
		for i := range len(w.points) / 2 {
			w.points[i] = w.points[2*i+1]
		}
		w.points = w.points[:len(w.points)/2]
		w.step *= 2
	}
	return p
}

func (w *watch) progress(now point, rate float64) Progress {
	p := w.blank
	p.Connected, p.Subscribers = w.round.connected.Load(), len(w.round.subscribers)
	p.Publishing = now.at > 0
	p.Published, p.Delivered, p.Elapsed, p.Rate = now.published, now.delivered, now.at, rate
	return p
}

// begin notes that publishing begins at this time since the epoch.
func (w *watch) begin(start time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.start = start
}

// end returns the samples from begin to now. What is left after the last whole
// step is added to it where it is short, as a rate over next to no time means
// nothing.
func (w *watch) end() (samples []Sample) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	if n := len(w.points); n > 0 && now.at-w.last().at < w.step/2 {
		w.points = w.points[:n-1]
	}
	before := point{}
	for _, p := range append(w.points, now) {
		step := p.at - before.at
		samples = append(samples, Sample{p.at.Seconds(),
			perSecond(p.delivered-before.delivered, step), perSecond(p.published-before.published, step)})
		before = p
	}
	return samples
}
