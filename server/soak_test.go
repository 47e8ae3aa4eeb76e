package server_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pregon/pregon/broker/redis/redistest"
)

var (
	soakTime  = flag.Duration("soak.time", 0, "for how long TestChaosSoak runs; 30m is its long form")
	soakEvery = flag.Duration("soak.every", 10*time.Second, "how often its long form makes a fault")
)

// soaked are the figures of a node that are not to grow.
var soaked = []string{"go_goroutines", "process_open_fds", "go_memstats_heap_alloc_bytes"}

// A sample is what a node says of itself at one moment.
type sample struct {
	at      time.Duration
	figures map[string]float64
}

// figures reads the figures of a node, without labels.
func figures(t *testing.T, addr string) map[string]float64 {
	t.Helper()
	resp, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	read := map[string]float64{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			read[name] = n
		}
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return read
}

// slope returns how much of its median a figure grows by in an hour, in the second half of samples, and the median.
// It is the median of the slopes between any two (Theil and Sen), which single peaks, as there are behind each
// fault, do not move: a leak raises all that come after it.
func slope(samples []sample, name string) (anHour, middle float64) {
	half := samples[len(samples)/2:]
	var slopes, values []float64
	for i, a := range half {
		values = append(values, a.figures[name])
		for _, b := range half[i+1:] {
			if hours := (b.at - a.at).Hours(); hours > 0 {
				slopes = append(slopes, (b.figures[name]-a.figures[name])/hours)
			}
		}
	}
	middle = median(values)
	if middle == 0 {
		return 0, 0
	}
	return median(slopes) / middle, middle
}

// median returns the middle one of values, 0 where there are none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// A node under load, with a fault of another kind every so often, does not grow. Nothing is lost, either.
//
// The long form, -soak.time 30m -timeout 45m, looks at the slope of what the node says of itself every ten
// seconds, in the second half: 10 % growth of the median in that half are too much. The short one only shows
// that all of it works.
func TestChaosSoak(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, compacting...)
	proxy := redistest.StartProxy(t, redis.Addr())
	node := startPregon(t, buildPregon(t), proxy.URL())
	c := newChaos(t, node.addr)
	clients := cutter{dialer: new(net.Dialer).DialContext, conns: map[net.Conn]struct{}{}}
	c.dial = clients.dial
	c.load.pace(longForm(*chaosRate, 300))
	n := longForm(*chaosClients, 40)
	c.steady(n / 2)
	c.hopping(n / 4)
	for range n / 4 {
		c.add("live", func(ctx context.Context, v *visitor) { v.listenWS(ctx, overLive, hopping) })
	}
	c.publish(true)
	kinds := []func(){
		func() { c.outage(redis.Restart) },
		func() { proxy.Cut() },
		clients.cut,
		func() { redis.MustDo("CLIENT", "KILL", "TYPE", "pubsub") },
		func() { node.signal(syscall.SIGSTOP); time.Sleep(time.Second); node.signal(syscall.SIGCONT) },
	}
	every, lasts := *soakEvery, *soakTime
	if lasts == 0 {
		every, lasts = 300*time.Millisecond, 3*time.Second
	}
	var samples []sample
	for began, i := time.Now(), 0; time.Since(began) < lasts; i++ {
		kinds[i%len(kinds)]()
		c.goesOn()
		pause(c.ctx, every-time.Since(began)%every)
		samples = append(samples, sample{time.Since(began), figures(t, node.addr)})
	}
	c.finish(true, false)
	for _, name := range soaked {
		anHour, middle := slope(samples, name)
		grows := anHour * lasts.Hours() / 2
		t.Logf("%s: %.0f in the middle, %+.1f %% in the second half", name, middle, 100*grows)
		if middle == 0 || *soakTime > 0 && grows > 0.1 {
			t.Errorf("%s: %.0f in the middle, and in the second half it grows by %.1f %%: %s", name, middle, 100*grows, course(samples, name))
		}
	}
}

// course returns some of the values that a figure had.
func course(samples []sample, name string) string {
	var values []string
	for some := range slices.Chunk(samples, len(samples)/20+1) {
		values = append(values, fmt.Sprintf("%.0f", some[0].figures[name]))
	}
	return strings.Join(values, " ")
}
