package profile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"time"
)

// Most is the longest time over which a profile is taken.
const Most = 5 * time.Minute

// Errors for what a request asks.
var (
	// ErrUnknown means that there is no profile of that name.
	ErrUnknown = errors.New("profile: there is none of that name")
	// ErrBusy means that a profile of that kind is being taken, of which there can be one at a time.
	ErrBusy = errors.New("profile: another one is being taken")
	// ErrQuery means that a parameter is not a number in its range.
	ErrQuery = errors.New("profile: a parameter is not a number in its range")
)

// spare is the time for an answer beside that in which the profile is taken.
const spare = 30 * time.Second

// Serve answers with the profile of a name: "profile" is of the processor and "trace" of the execution, over ?seconds=,
// by default 30 and 1, at most Most; all others are snapshots, such as "heap" (?gc=1 collects first) and "goroutine",
// as text with ?debug=1 or 2. An empty name lists them. Where it returns an error, which matches one of this
// package's, it has written nothing.
func Serve(w http.ResponseWriter, r *http.Request, name string) error {
	switch name {
	case "":
		return index(w)
	case "profile":
		return over(w, r, 30, pprof.StartCPUProfile, pprof.StopCPUProfile)
	case "trace":
		return over(w, r, 1, trace.Start, trace.Stop)
	}
	return snapshot(w, r, name)
}

// index lists the profiles, one a line with its count, and those that take time.
func index(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, p := range pprof.Profiles() {
		_, _ = fmt.Fprintln(w, p.Name(), p.Count()) // a client that has gone is no error of ours
	}
	_, _ = fmt.Fprint(w, "profile\ntrace\n")
	return nil
}

// over answers with what is written from start to stop.
func over(w http.ResponseWriter, r *http.Request, byDefault int, start func(io.Writer) error, stop func()) error {
	seconds, err := number(r, "seconds", byDefault, int(Most/time.Second))
	if err != nil {
		return err
	}
	length := time.Duration(seconds) * time.Second
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(length + spare)) // a writer without one has no limit
	var taken bytes.Buffer                                                             // so that a client that does not read holds nothing up
	if err := start(&taken); err != nil {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	wait(r.Context(), length)
	stop()
	return send(w, &taken)
}

func wait(ctx context.Context, length time.Duration) {
	over := time.NewTimer(length)
	defer over.Stop()
	select {
	case <-over.C:
	case <-ctx.Done():
	}
}

// snapshot answers with a profile of this moment.
func snapshot(w http.ResponseWriter, r *http.Request, name string) error {
	p := pprof.Lookup(name)
	if p == nil {
		return ErrUnknown
	}
	debug, err := number(r, "debug", 0, 2)
	if err != nil {
		return err
	}
	collect, err := number(r, "gc", 0, 1)
	if err != nil {
		return err
	}
	if collect == 1 && name == "heap" {
		runtime.GC()
	}
	var taken bytes.Buffer
	if err := p.WriteTo(&taken, debug); err != nil {
		return fmt.Errorf("profile: write %s: %w", p.Name(), err)
	}
	if debug > 0 {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	return send(w, &taken)
}

// send answers with b.
func send(w http.ResponseWriter, b *bytes.Buffer) error {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/octet-stream")
	}
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	_, _ = w.Write(b.Bytes()) // likewise
	return nil
}

// number returns a parameter of the query, which is from 0 to most.
func number(r *http.Request, name string, byDefault, most int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return byDefault, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n > uint64(most) {
		return 0, fmt.Errorf("%w: %s is a whole number from 0 to %d", ErrQuery, name, most)
	}
	return int(n), nil
}
