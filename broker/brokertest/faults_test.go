package brokertest_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/brokertest"
	"github.com/pregon/pregon/broker/memory"
)

// faults are the ways to break a correct node, each with the cases that must
// find it. The variables of a fault belong to one node, or to one Feed.
var faults = []struct {
	name    string
	cases   []string
	corrupt func(broker.Broker) broker.Broker
}{
	{"loses-first", []string{"AddThenPublish", "AddAgain", "RemovedIsSilent", "Histories"}, onFeed(losesFirst)},
	{"doubles", []string{"ConcurrentAdds", "AddAgain", "Histories"}, onFeed(doubles)},
	{"never-removes", []string{"RemovedIsSilent", "Contexts", "ManyChannels", "Histories"}, onFeed(neverRemoves)},
	{"deaf-when-added-again", []string{"RemovedIsSilent", "Histories"}, onFeed(deafWhenAddedAgain)},
	{"adds-300-at-most", []string{"ManyChannels"}, onFeed(addsFew)},
	{"adds-until-error", []string{"EmptyName", "Denied"}, onFeed(addsUntilError)},
	{"add-ends-with-context", []string{"Contexts"}, onFeed(endsWithContext)},
	{"refuses-to-remove-unknown", []string{"AddAgain", "ConcurrentUse"}, onFeed(refusesUnknown)},
	{"binary-is-text", []string{"Payloads"}, onMessage(func(m *broker.Message) { m.Binary = false })},
	{"cuts-at-NUL", []string{"Payloads"}, onMessage(func(m *broker.Message) { m.Data, _, _ = bytes.Cut(m.Data, []byte{0}) })},
	{"opens-strange-envelopes", []string{"Payloads"}, onMessage(func(m *broker.Message) { *m = broker.ParseWire(m.Channel, m.Data) })},
	{"forgets-authors", []string{"Authors"}, onMessage(func(m *broker.Message) { m.By = nil })},
	{"forgets-sessions", []string{"Authors"}, onMessage(func(m *broker.Message) {
		if m.By != nil {
			m.By = &broker.Author{Subject: m.By.Subject}
		}
	})},
	{"remembers-authors", []string{"Authors"}, onFeed(remembersAuthors)},
	{"delivers-authors-that-name-nobody", []string{"Authors"}, onMessage(func(m *broker.Message) {
		if m.By == nil {
			m.By = &broker.Author{}
		}
	})},
	{"forgets-traces", []string{"Traces"}, onMessage(func(m *broker.Message) { m.Traceparent = "" })},
	{"remembers-traces", []string{"Traces"}, onFeed(remembersTraces)},
	{"delivers-claimed-traces", []string{"Traces"}, onMessage(func(m *broker.Message) {
		if m.Traceparent == "" {
			m.Traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
		}
	})},
	{"reuses-memory", []string{"Payloads"}, onFeed(reusesMemory)},
	{"swallows-gaps", []string{"Overrun", "LinkLost", "Down"}, onFeed(swallowsGaps)},
	{"nameless-gaps", []string{"Overrun", "LinkLost"}, onFeed(namelessGaps)},
	{"one-reader-stops-all", []string{"Overrun"}, oneReaderStopsAll},
	{"close-leaves-Next", []string{"CloseFeed"}, onFeed(closeLeavesNext)},
	{"close-leaves-feeds", []string{"CloseBroker", "UseAfterClose"}, closeLeavesFeeds},
	{"ends-with-EOF", []string{"CloseFeed", "CloseBroker", "UseAfterClose", "CloseDuringCalls"}, onFeed(endsWithEOF)},
	{"closes-once", []string{"UseAfterClose"}, onFeed(closesOnce)},
	{"shared-removes", []string{"FeedsAreIndependent", "Histories"}, sharedRemoves},
	{"nodes-apart", []string{"EveryNodeHears", "AddThenPublish", "Histories"}, func(broker.Broker) broker.Broker { return NewBackend().Open() }},
	{"reorders", []string{"Order", "Histories"}, reorders},
	{"folds-case", []string{"ChannelNames"}, foldsCase},
	{"patterns", []string{"OtherChannels"}, patterns},
	{"failed-connection-is-uncertain", []string{"Unreachable"}, failedIsUncertain},
	{"away-is-denied", []string{"Down"}, onPublishError(broker.ErrUnavailable, broker.ErrDenied)},
	{"away-is-accepted", []string{"Down"}, onPublishError(broker.ErrUnavailable, nil)},
	{"adds-without-asking", []string{"Down"}, onFeed(addsWithoutAsking)},
	{"failed-add-adds-later", []string{"Down"}, onFeed(addsLater)},
	{"deaf-since-away", []string{"Down"}, onFeed(deafSinceGap)},
	{"denied-is-away", []string{"Denied"}, onPublishError(broker.ErrDenied, broker.ErrUnavailable)},
	{"denied-fails-batch", []string{"Denied"}, batchFailsTogether},
	{"delivers-claims", []string{"NoHistory"}, onMessage(func(m *broker.Message) { m.Position = broker.Position{Epoch: 7, Seq: 1} })},
	{"delivers-keys", []string{"NoHistory"}, onMessage(func(m *broker.Message) { m.Key = "key" })},
	{"ignores-contexts", []string{"Contexts"}, ignoresContexts},
	{"batch-backwards", []string{"Batch"}, batchBackwards},
	{"batch-loses-last", []string{"Batch"}, batchLosesLast},
	{"batch-ignores-contexts", []string{"Batch"}, batchIgnoresContexts},
	{"batch-too-few-results", []string{"Batch"}, batchTooFewResults},
}

var fault = flag.String("fault", "", "run the suite on the driver with this fault, as TestFaults does in processes of its own")

// runFaulty runs the suite on a driver that must fail it.
func runFaulty(t *testing.T) {
	brokertest.SetGuard(500 * time.Millisecond)
	for _, f := range faults {
		if f.name != *fault {
			continue
		}
		brokertest.Run(t, func(*testing.T) func(*testing.T) broker.Broker {
			backend := NewBackend()
			return func(*testing.T) broker.Broker { return f.corrupt(&hardship{Broker: backend.Open()}) }
		}, hardships(f.corrupt)...)
	}
	for _, f := range historyFaults {
		if f.name != *fault {
			continue
		}
		runHistory(t, func(b broker.Broker) broker.Broker { return breakHistory(b, f.corrupt) })
	}
}

// runHistory runs the cases of a history on nodes that broken breaks.
func runHistory(t *testing.T, broken func(broker.Broker) broker.Broker) {
	nodes := func(age time.Duration) func(*testing.T) func(*testing.T) broker.Broker {
		return func(*testing.T) func(*testing.T) broker.Broker {
			bus := memory.NewBusWithHistory(broker.Retention{MaxMessages: 100, MaxAge: age})
			made := &marks{at: map[string]broker.Position{}}
			return func(*testing.T) broker.Broker { return broken(&hardship{Broker: bus.Broker(), marks: made}) }
		}
	}
	brokertest.Run(t, nodes(time.Hour), brokertest.HistoryOnly(), brokertest.WithBriefHistory(nodes(200*time.Millisecond)),
		brokertest.WithCut(func(_ *testing.T, node broker.Broker) { hardshipOf(node).lose(20) }),
		brokertest.WithForget(forgetIn))
}

// forgetIn forgets a channel behind the back of a driver that has memory's history.
func forgetIn(t *testing.T, node broker.Broker, channel string) {
	if err := hardshipOf(node).Clear(t.Context(), channel); err != nil {
		t.Error(err)
	}
}

// A correct history passes every case.
func TestCorrectHistory(t *testing.T) {
	runHistory(t, func(b broker.Broker) broker.Broker { return b })
}

// Each case is there for a fault that it finds.
func TestEveryCaseHasAFault(t *testing.T) {
	found := map[string]bool{}
	for _, f := range faults {
		for _, c := range f.cases {
			found[c] = true
		}
	}
	for _, f := range historyFaults {
		for _, c := range f.cases {
			found[c] = true
		}
	}
	names := brokertest.CaseNames()
	for _, c := range names {
		if !found[c] {
			t.Errorf("no fault is found by %s", c)
		}
		delete(found, c)
	}
	for c := range found {
		t.Errorf("there is no case %s", c)
	}
}

// Every fault is found by the cases that are there for it, which print their rule.
func TestFaults(t *testing.T) {
	if *fault != "" {
		runFaulty(t)
		return
	}
	found := map[string][]string{}
	for _, f := range faults {
		found[f.name] = f.cases
	}
	for _, f := range historyFaults {
		found[f.name] = f.cases
	}
	for fault, cases := range found {
		for _, name := range cases {
			t.Run(fault+"/"+name, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				out, err := exec.CommandContext(ctx, os.Args[0], "-fault="+fault, "-test.run=^TestFaults$/^"+name+"$",
					"-test.short", "-rapid.checks=2000", "-rapid.nofailfile", "-rapid.shrinktime=1s").CombinedOutput()
				if err == nil || !strings.Contains(string(out), "--- FAIL: TestFaults/"+name) || !strings.Contains(string(out), "rule: ") {
					t.Errorf("the case did not find the fault: %v\n%s", err, out)
				}
			})
		}
	}
}
