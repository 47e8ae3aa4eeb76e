package bench_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/pregon/pregon/cmd/bench"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	file = "testdata/" + file
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(file, diff)
	}
}

func pointer(v float64) *float64 { return &v }

// results makes a report of a run of 2 subscribers and 4 messages.
func results(withFloor bool) *bench.Report {
	ms := time.Millisecond
	r := &bench.Report{
		Config: bench.Config{Subscribers: 2, Channels: 1, Publishers: 1, Messages: 4, Size: 128, Transport: "ws", Format: "text", PublishOver: "http", Broker: "memory://", Rounds: 1},
		Server: bench.Result{
			Rounds: 1, Published: 4, Expected: 8, Received: 8, Seconds: 0.5, Deliveries: 16, Publications: 8,
			ServerCPU: pointer(1.25), ClientCPU: pointer(2), Memory: pointer(4096),
			Publish:  bench.SummaryOf(ms, ms, 2*ms, 3*ms),
			Delivery: bench.SummaryOf(500*time.Nanosecond, 30*time.Microsecond, ms, ms, ms, ms, 2*ms, 12*ms),
			Series:   []bench.Sample{{Seconds: 0.25, Deliveries: 20, Publications: 8}, {Seconds: 0.5, Deliveries: 12, Publications: 8}},
		},
		Passed: true,
	}
	if withFloor {
		floor := r.Server
		floor.ServerCPU, floor.Memory = nil, nil
		r.Floor, r.Ratio = &floor, &bench.Ratio{Deliveries: 1}
	}
	return r
}

// What people read, with and without a floor, in a narrow terminal and a wide
// one.
func TestTextIsGolden(t *testing.T) {
	for file, c := range map[string]struct {
		floor bool
		width int
	}{"report.txt": {false, 80}, "floor.txt": {true, 60}} {
		var b bytes.Buffer
		if err := results(c.floor).WriteText(&b, c.width); err != nil {
			t.Fatal(err)
		}
		golden(t, file, b.Bytes())
		_, bars, _ := strings.Cut(b.String(), "delivery latency")
		for line := range strings.Lines(bars) {
			if n := utf8.RuneCountInString(strings.TrimSpace(line)); n > c.width {
				t.Errorf("%s: a line of %d characters: %s", file, n, line)
			}
		}
	}
}

// What programs read: its names are a contract.
func TestJSONIsGolden(t *testing.T) {
	text, err := json.MarshalIndent(results(true), "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", append(text, '\n'))
}

// The page is well formed, holds what was found, and fetches nothing.
func TestPageStandsAlone(t *testing.T) {
	for _, r := range []*bench.Report{results(false), results(true), {}} {
		r.Config.URL = "http://localhost/<script>"
		var b bytes.Buffer
		if err := r.WriteHTML(&b); err != nil {
			t.Fatal(err)
		}
		elements := map[string]int{}
		d := xml.NewDecoder(bytes.NewReader(b.Bytes()))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal("not well formed:", err)
			}
			e, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			elements[e.Name.Local]++
			for _, a := range e.Attr {
				if name := a.Name.Local; name == "src" || name == "href" || strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("<%s %s=%q>", e.Name.Local, name, a.Value)
				}
			}
		}
		if elements["script"]+elements["link"]+elements["img"] > 0 || elements["polyline"] < 3 {
			t.Error(elements)
		}
		if regexp.MustCompile(`url\(|@import`).Match(b.Bytes()) {
			t.Error("the style sheet fetches something")
		}
	}
}

// Each thing that must not happen makes a report fail, and one line says which.
func TestErr(t *testing.T) {
	if err := results(true).Err(); err != nil {
		t.Error(err)
	}
	for says, spoil := range map[string]func(*bench.Report){
		"1 were lost":           func(r *bench.Report) { r.Server.Lost = 1 },
		"1 doubled":             func(r *bench.Report) { r.Server.Duplicated = 1 },
		"1 out of order":        func(r *bench.Report) { r.Server.Reordered = 1 },
		"1 corrupt":             func(r *bench.Report) { r.Server.Corrupt = 1 },
		"1 gaps":                func(r *bench.Report) { r.Server.Gaps = 1 },
		"1 publications failed": func(r *bench.Report) { r.Server.PublishFailed = 1 },
		"1 subscribers":         func(r *bench.Report) { r.Server.Disconnected = 1 },
		"the floor: ":           func(r *bench.Report) { r.Floor.Lost = 1 },
		"interrupted":           func(r *bench.Report) { r.Interrupted = true },
	} {
		r := results(true)
		spoil(r)
		err := r.Err()
		if !errors.Is(err, bench.ErrFailed) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q, want %q", err, says)
		}
	}
}

// Buckets have no holes between them and lose nothing; percentiles come from all
// times, those beyond the range included.
func TestLatency(t *testing.T) {
	var times []time.Duration
	for d := time.Duration(0); d < 2*time.Hour; d = d*3/2 + 100 {
		times = append(times, d)
	}
	l := bench.SummaryOf(times...)
	var n int64
	for i, b := range l.Histogram {
		n += b.Count
		if b.From >= b.To || i > 0 && l.Histogram[i-1].To != b.From {
			t.Errorf("bucket %d is %+v after %+v", i, b, l.Histogram[max(0, i-1)])
		}
	}
	if n != int64(len(times)) || l.Count != n {
		t.Errorf("%d times became %d in buckets, %d counted", len(times), n, l.Count)
	}
	for i, p := range l.Curve {
		if i > 0 && (p.Percent <= l.Curve[i-1].Percent || p.Milliseconds < l.Curve[i-1].Milliseconds) {
			t.Errorf("the curve falls from %+v to %+v", l.Curve[i-1], p)
		}
	}
	if last := l.Curve[len(l.Curve)-1]; last.Percent != 100 || last.Milliseconds != l.Max {
		t.Errorf("the curve ends at %+v, not at the maximum of %v", last, l.Max)
	}
	for _, c := range []struct {
		got, want float64
	}{{bench.SummaryOf(time.Millisecond).P50, 1}, {l.Max, 600_000}, {bench.SummaryOf().P99, 0}} {
		if c.got < c.want*0.999 || c.got > c.want*1.001 {
			t.Errorf("%v ms, want %v within a thousandth", c.got, c.want)
		}
	}
}
