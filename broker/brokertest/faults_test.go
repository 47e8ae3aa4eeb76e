package brokertest_test

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/brokertest"
)

var fault = flag.String("fault", "", "run TestFaultyDriver on the driver with this fault")

// TestFaultyDriver runs the suite on a driver that must fail it, in the process
// that TestFaults starts for it.
func TestFaultyDriver(t *testing.T) {
	if *fault == "" {
		t.Skip("TestFaults runs it")
	}
	brokertest.SetGuard(500 * time.Millisecond)
	for _, f := range faults {
		if f.name != *fault {
			continue
		}
		brokertest.Run(t, func(*testing.T) func(*testing.T) broker.Broker {
			backend := NewBackend()
			return func(*testing.T) broker.Broker { return f.corrupt(backend.Open()) }
		}, brokertest.WithCut(func(_ *testing.T, node broker.Broker) {
			if loop, ok := broker.As[*Loop](node); ok {
				loop.cut()
			}
		}))
	}
}

// Every fault is found by the cases that are there for it, which print their rule.
func TestFaults(t *testing.T) {
	for _, f := range faults {
		for _, name := range f.cases {
			t.Run(f.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				out, err := exec.CommandContext(ctx, os.Args[0], "-fault="+f.name, "-test.run=^TestFaultyDriver$/^"+name+"$",
					"-test.short", "-rapid.checks=2000", "-rapid.nofailfile", "-rapid.shrinktime=1s").CombinedOutput()
				if err == nil || !strings.Contains(string(out), "--- FAIL: TestFaultyDriver/"+name) || !strings.Contains(string(out), "rule: ") {
					t.Errorf("the case did not find the fault: %v\n%s", err, out)
				}
			})
		}
	}
}
