package cmd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/pregon/pregon/server/metrics"
)

// maxFigures is the most that is read of a server's figures, in bytes. pregon's are about 20 KiB.
const maxFigures = 1 << 20

// figures says what the server's figures tell: how near its limits are, and what it has counted since its start.
func (x *examination) figures(ctx context.Context) {
	read, err := x.readFigures(ctx)
	a, isAnswer := errors.AsType[*answered](err)
	switch {
	case err == nil:
		x.ok("figures", "Read. "+sinceStart(read))
		x.link(read)
		x.limits(read)
		x.certificate(read)
		for _, t := range tallies {
			x.count(t, t.of(read))
		}
	case x.admin != nil:
		x.bad("figures", sentence(plainError(err)), "Correct --admin-url; off the server's own machine it needs a key with admin: true in --token-file.")
	case isAnswer && a.status < http.StatusInternalServerError:
		x.ok("figures", "Not read: "+a.Error()+".")
		x.findings[len(x.findings)-1].Advice = "Where the server has --admin, give that address as --admin-url; otherwise a key in --token-file."
	default:
		x.warn("figures", sentence(plainError(err)), "")
	}
}

// readFigures asks operators' address for them, or the public one.
func (x *examination) readFigures(ctx context.Context) (metrics.Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	from := x.client
	if x.admin != nil {
		from = x.admin
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, string(from.url)+"/metrics", nil)
	if err != nil {
		return metrics.Reading{}, err
	}
	resp, err := from.do(req)
	if err != nil {
		return metrics.Reading{}, from.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return metrics.Reading{}, answerError(resp)
	}
	read, err := metrics.Read(resp.Body, maxFigures)
	if _, pregon := read.Value("pregon_ready"); err == nil && !pregon {
		err = errors.New("metrics: these are not the figures of a pregon")
	}
	return read, err
}

// sinceStart says since when a server has counted.
func sinceStart(f metrics.Reading) string {
	began, ok := f.Value("process_start_time_seconds")
	if !ok {
		return "What is counted is counted since the server's start."
	}
	at := time.Unix(int64(began), 0)
	return fmt.Sprintf("What is counted is counted since the server's start at %s, %v ago.", at.UTC().Format(time.RFC3339), time.Since(at).Round(time.Second))
}

// link says how the connection to the broker is.
func (x *examination) link(f metrics.Reading) {
	up, known := f.Value("pregon_broker_link_up")
	restored, _ := f.Value("pregon_broker_link_restored_total")
	switch {
	case !known: // a broker within the process
	case up == 0:
		x.bad("broker link", "The connection by which messages are heard from the broker is down.",
			"See whether the broker lives and answers: run pregon doctor --broker where the server runs.")
	case restored > 0:
		x.warn("broker link", fmt.Sprintf("It stands, and was lost and restored %s.", times(restored)),
			"Look for restarts of the broker at those times, and at the network to it; the log has them.")
	default:
		x.ok("broker link", "It stands, and was never lost.")
	}
}

// A bound is a figure that has a limit, and what to do where it is near.
type bound struct{ what, now, most, advice string }

var bounds = []bound{
	{"connections", "pregon_connections", "pregon_connections_limit", "Raise --max-connections and the system's limit of open files, or run another node."},
	{"bytes of bodies", "pregon_bodies_bytes", "pregon_bodies_limit_bytes", seeBodies},
	{"descriptors", "process_open_fds", "process_max_fds", "Raise the system's limit of open files (ulimit -n; LimitNOFILE= of systemd)."},
}

// near is the part of a limit above which it is near.
const near = 0.8

// limits says which limits are near.
func (x *examination) limits(f metrics.Reading) {
	var all []string
	for _, b := range bounds {
		now, known := f.Value(b.now)
		most, limited := f.Value(b.most)
		if !known || !limited || most <= 0 {
			continue
		}
		share := fmt.Sprintf("%.0f of %.0f %s", now, most, b.what)
		if now > near*most {
			x.warn("limits", "In use are "+share+".", b.advice)
		} else {
			all = append(all, share)
		}
	}
	if len(all) > 0 {
		x.ok("limits", "In use are "+strings.Join(all, ", ")+".")
	}
}

// certificate says until when that of the server itself is good, which a proxy in front of it may hide.
func (x *examination) certificate(f metrics.Reading) {
	seconds, known := f.Value("pregon_certificate_expiry_timestamp_seconds")
	if !known {
		return
	}
	ends := time.Unix(int64(seconds), 0).UTC()
	if time.Until(ends) < soon {
		x.warn("certificate", fmt.Sprintf("The server's own expires at %s.", ends.Format(time.RFC3339)), "See in the log why it was not renewed.")
		return
	}
	x.ok("certificate", fmt.Sprintf("The server's own is good until %s.", ends.Format(time.DateOnly)))
}

// times says how often something was.
func times(n float64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%.0f times", n)
}
