package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An audience is clients in other processes, which report over HTTP what they hear:
// messages that are numbers, each one more than the last.
type audience struct {
	mu      sync.Mutex
	clients map[string]*hearing
	changed chan struct{} // closed at the next report
}

// A hearing is what one client has reported.
type hearing struct {
	newest  int                 // 0 before the first message
	faults  map[string][]string // by kind, each with what it says
	givenUp bool                // it did not hear in time what it was awaited to
}

// A report is one event that a client dispatched, or that it has "closed".
type report struct{ Client, Event, Data string }

func newAudience(clients ...string) *audience {
	a := &audience{clients: map[string]*hearing{}, changed: make(chan struct{})}
	for _, name := range clients {
		a.clients[name] = &hearing{faults: map[string][]string{}}
	}
	return a
}

// ServeHTTP takes reports, of pages of any origin.
func (a *audience) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	var reports []report
	if err := json.NewDecoder(r.Body).Decode(&reports); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, report := range reports {
		c, ok := a.clients[report.Client]
		if !ok {
			http.Error(w, "no such client: "+report.Client, http.StatusBadRequest)
			return
		}
		c.take(report)
	}
	close(a.changed)
	a.changed = make(chan struct{})
}

func (c *hearing) take(r report) {
	switch r.Event {
	case "message":
		c.takeMessage(r.Data)
	case "subscribed":
		if !strings.Contains(r.Data, `"recovered":true`) {
			c.fault("not recovered", r.Data)
		}
	case "gap", "closed":
		c.fault(r.Event, r.Data)
	} // what has another name is not for a page that does not ask for it
}

func (c *hearing) takeMessage(data string) {
	n, err := strconv.Atoi(data)
	switch {
	case data == "":
		c.fault("empty message", "")
	case err != nil:
		c.fault("not published", strconv.Quote(data))
	case c.newest != 0 && n > c.newest+1:
		c.fault("missed", fmt.Sprint("all up to ", n))
	case c.newest != 0 && n <= c.newest:
		c.fault("repeated", fmt.Sprint(n))
	}
	if err == nil {
		c.newest = n
	}
}

func (c *hearing) fault(kind, what string) {
	c.faults[kind] = append(c.faults[kind], fmt.Sprintf("behind %d %s", c.newest, what))
}

// await returns when so many clients have heard message n, or all but those that
// were given up. At the end of patience it gives up those that have not.
func (a *audience) await(n, enough int) {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		missing, changed := a.missing(n)
		if len(missing) == 0 || len(a.clients)-len(missing) >= enough {
			return
		}
		select {
		case <-changed:
		case <-late.C:
			a.giveUp(missing, n)
			return
		}
	}
}

// missing returns the clients that have not heard message n and were not given up,
// and what is closed when that may have changed.
func (a *audience) missing(n int) ([]*hearing, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var missing []*hearing
	for _, c := range a.clients {
		if c.newest < n && !c.givenUp {
			missing = append(missing, c)
		}
	}
	return missing, a.changed
}

func (a *audience) giveUp(clients []*hearing, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range clients {
		c.givenUp = true
		c.fault("dead", fmt.Sprintf("up to %d", n))
	}
}

// faults returns what was wrong, in a line for each client and kind.
func (a *audience) faults() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var lines []string
	for name, c := range a.clients {
		for kind, all := range c.faults {
			lines = append(lines, fmt.Sprintf("%s: %s, %d times: %s", name, kind, len(all), strings.Join(all[:min(3, len(all))], "; ")))
		}
	}
	slices.Sort(lines)
	return lines
}
