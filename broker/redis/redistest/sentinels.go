package redistest

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// MasterName is the name by which Sentinels know the server that they watch.
const MasterName = "main"

// Sentinels watch over two servers, of which one is the master and the other its
// replica. All are killed when the test ends. As with a [Server], the methods are
// for the test's goroutine, one at a time.
type Sentinels struct {
	Servers []*Server // the first is the master in the beginning
	Watch   []*Server // the Sentinels, which are servers of their own kind

	t testing.TB
}

// StartSentinels starts a master, its replica and n Sentinels, and returns when a
// failover would succeed. They begin one where they are asked to, and where the master is
// killed by [Sentinels.KillMaster], if more than half of the n vote for it. The args are as
// for [Start] and go to both servers. It needs Redis 7 or newer.
func StartSentinels(t testing.TB, n int, args ...string) *Sentinels {
	t.Helper()
	args = append([]string{"--repl-diskless-sync-delay", "0"}, args...)
	s := &Sentinels{t: t}
	master := Start(t, args...)
	replica := Start(t, append(args, "--replicaof", fmt.Sprintf("127.0.0.1 %d", master.port))...)
	s.Servers = []*Server{master, replica}
	s.wait("the replica has the master's data", func() bool {
		return strings.Contains(replica.MustDo("INFO", "replication"), "master_link_status:up")
	})
	for range n {
		s.Watch = append(s.Watch, startSentinel(t, master))
	}
	s.Await()
	return s
}

// Await returns when another failover would succeed: the Sentinels know each other,
// and one of the servers follows the other. Both are to run.
func (s *Sentinels) Await() {
	s.t.Helper()
	s.pace("200", "200")
	s.wait("the Sentinels know each other and the replica", s.ready)
	s.pace("10000", "2000") // as usual: their patience with a failover is a multiple
}

// patience is after how long a Sentinel takes a server for dead that does not answer. On a
// busy machine one is silent for a second now and then, and nobody wants a failover for that.
const patience = 30 * time.Second

// startSentinel starts one that watches master. The quorum is 1: see KillMaster.
func startSentinel(t testing.TB, master *Server) *Server {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "sentinel.conf") // which it rewrites
	config := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]d 1\n"+
		"sentinel down-after-milliseconds %[1]s %[3]d\n"+
		"sentinel failover-timeout %[1]s 3000\n", MasterName, master.port, patience.Milliseconds())
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatalf("redistest: Sentinel: %v", err)
	}
	return launch(t, &Server{t: t, dir: dir, first: []string{file, "--sentinel"}})
}

// pace sets how often, in milliseconds, the Sentinels ask the servers about
// themselves, and tell each other.
func (s *Sentinels) pace(ask, tell string) {
	s.t.Helper()
	for _, w := range s.Watch {
		w.MustDo("SENTINEL", "DEBUG", "info-period", ask, "publish-period", tell)
	}
}

// URL returns the redis:// URL of the master that the Sentinels watch.
func (s *Sentinels) URL() string {
	others := make([]string, 0, len(s.Watch))
	for _, w := range s.Watch[1:] {
		others = append(others, w.Addr())
	}
	query := url.Values{"master": {MasterName}}
	if len(others) > 0 {
		query.Set("sentinels", strings.Join(others, ","))
	}
	return s.Watch[0].URL() + "?" + query.Encode()
}

// Master returns the server that is the master according to the first Sentinel
// that is up.
func (s *Sentinels) Master() *Server {
	s.t.Helper()
	for _, w := range s.Watch {
		if w.run == nil {
			continue
		}
		if master := s.masterBy(w); master != nil {
			return master
		}
	}
	s.t.Fatal("redistest: the Sentinels name no server of ours")
	return nil
}

// masterBy returns the master according to a Sentinel, nil where it is no server of ours.
func (s *Sentinels) masterBy(w *Server) *Server {
	s.t.Helper()
	host, port, _ := strings.Cut(w.MustDo("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName), "\n")
	for _, server := range s.Servers {
		if server.Addr() == host+":"+port {
			return server
		}
	}
	return nil
}

// KillMaster kills the master, and returns when the Sentinels that are up name the other
// server. Each takes the master for dead after another time, from half a second on, so
// that two do not want to be elected at once: they would share the votes and wait for seconds.
func (s *Sentinels) KillMaster() {
	s.t.Helper()
	old := s.Master()
	old.Kill()
	s.isDeadAfter(func(i int) time.Duration { return time.Duration(600+i*300) * time.Millisecond })
	s.wait("the Sentinels name another master", func() bool {
		for _, w := range s.Watch {
			if w.run != nil && s.masterBy(w) == old {
				return false
			}
		}
		return true
	})
	s.isDeadAfter(func(int) time.Duration { return patience })
}

// isDeadAfter sets after how long each Sentinel that is up takes a server for dead.
func (s *Sentinels) isDeadAfter(silence func(i int) time.Duration) {
	s.t.Helper()
	for i, w := range s.Watch {
		if w.run != nil {
			w.MustDo("SENTINEL", "SET", MasterName, "down-after-milliseconds", fmt.Sprint(silence(i).Milliseconds()))
		}
	}
}

// Failover has the first Sentinel that is up begin to make the replica the master,
// as an operator does, as soon as it can, and does not wait for the end. The old
// master goes on as one until the Sentinels make it a replica some moments later.
func (s *Sentinels) Failover() {
	s.t.Helper()
	for _, w := range s.Watch {
		if w.run != nil {
			s.wait("a Sentinel begins a failover", func() bool {
				_, err := w.Do("SENTINEL", "FAILOVER", MasterName) // it may have no recent news of the replica
				return err == nil
			})
			return
		}
	}
	s.t.Fatal("redistest: no Sentinel is up")
}

// ready reports whether every Sentinel has heard of all others and has seen the
// replica follow the master.
func (s *Sentinels) ready() bool {
	for _, w := range s.Watch {
		about := fields(w.MustDo("SENTINEL", "MASTER", MasterName))
		if about["num-other-sentinels"] != fmt.Sprint(len(s.Watch)-1) {
			return false
		}
		if replicas := w.MustDo("SENTINEL", "REPLICAS", MasterName); fields(replicas)["master-link-status"] != "ok" {
			return false
		}
	}
	return true
}

// fields are names and values, which Redis gives a line each.
func fields(reply string) map[string]string {
	fields := map[string]string{}
	lines := strings.Split(reply, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		fields[lines[i]] = lines[i+1]
	}
	return fields
}

// wait waits until what is so.
func (s *Sentinels) wait(what string, is func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(startTimeout); !is(); {
		if time.Now().After(deadline) {
			s.t.Fatalf("redistest: in vain: %s", what)
		}
		time.Sleep(10 * time.Millisecond) // between attempts
	}
}
