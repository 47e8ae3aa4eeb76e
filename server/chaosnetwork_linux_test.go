package server_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pregon/pregon/broker/redis/redistest"
)

// insideNetwork is set in the environment of a test program that has a network of its
// own.
const insideNetwork = "PREGON_TEST_NETWORK"

// The network to Redis goes down without a word and comes back, again and again: the
// node finds out, and what was missed is filled in. The clients, who come over a Unix
// socket, notice nothing.
func TestChaosNetworkDown(t *testing.T) {
	if os.Getenv(insideNetwork) == "" {
		runInNetwork(t)
		return
	}
	setLoopback(t, "up")
	redis := redistest.Start(t)
	dir, err := os.MkdirTemp("", "pregon") // a short name: that of a Unix socket has a limit
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	o := onHistory(t, redis.URL())
	o.Hosts = []string{"node"}
	n := startOn(t, l, o)
	c := newChaos(t, "node")
	c.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", l.Addr().String())
	}
	n.addr, n.client.Transport = "node", &http.Transport{DialContext: c.dial}
	c.steady(longForm(*chaosClients, 12))
	c.hopping(5)
	c.publish(true)
	for range faults(1) {
		c.goesOn()
		aMoment()
		c.outage(func() {
			setLoopback(t, "down")
			began := time.Now()
			n.awaitReady(http.StatusServiceUnavailable)
			t.Log("found after", time.Since(began).Round(time.Millisecond))
			setLoopback(t, "up")
		})
		c.goesOn()
		c.heard()
	}
	c.finish(true, true)
}

// runInNetwork runs the test again where there is no network but a loopback that is
// down.
func runInNetwork(t *testing.T) {
	t.Helper()
	if err := networked("true").Run(); err != nil {
		advice := fmt.Sprint("this system gives nobody a network of its own (sysctl kernel.unprivileged_userns_clone=1, or as root): ", err)
		if os.Getenv("CI") != "" {
			t.Fatal(advice)
		}
		t.Skip(advice)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	test := networked(program, append([]string{"-test.run=^" + t.Name() + "$", "-test.v"}, chaosArgs()...)...)
	out, err := test.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// chaosArgs are the flags of chaos tests that were given.
func chaosArgs() (args []string) {
	flag.Visit(func(f *flag.Flag) {
		if strings.HasPrefix(f.Name, "chaos.") {
			args = append(args, "-"+f.Name+"="+f.Value.String())
		}
	})
	return args
}

// networked is a command in a network of its own.
func networked(program string, args ...string) *exec.Cmd {
	c := exec.Command(program, args...)
	c.Env = append(os.Environ(), insideNetwork+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	return c
}

func setLoopback(t *testing.T, state string) {
	t.Helper()
	if out, err := exec.Command("ip", "link", "set", "lo", state).CombinedOutput(); err != nil {
		t.Fatalf("ip link set lo %s: %v: %s", state, err, out)
	}
}
