package nats

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker/redis/redistest"
)

// A Cluster is some servers that form one.
type Cluster []*Server

// StartCluster starts n servers with JetStream. They answer before they have found each other.
func StartCluster(t testing.TB, n int) Cluster {
	t.Helper()
	return startCluster(t, n, func() string { return fmt.Sprintf("jetstream { store_dir: %q }", t.TempDir()) })
}

// StartPlainCluster is StartCluster without JetStream.
func StartPlainCluster(t testing.TB, n int) Cluster {
	t.Helper()
	return startCluster(t, n, func() string { return "" })
}

func startCluster(t testing.TB, n int, line func() string) Cluster {
	t.Helper()
	var ports []int
	var routes []string
	for range n {
		ports = append(ports, redistest.FreePort(t))
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[len(ports)-1]))
	}
	var c Cluster
	for i, port := range ports {
		c = append(c, Start(t, fmt.Sprintf("server_name: n%d", i), line(),
			fmt.Sprintf("cluster { name: c, listen: \"127.0.0.1:%d\", routes: [%s] }", port, strings.Join(routes, ", "))))
	}
	return c
}

// Kill ends all servers as crashes do.
func (c Cluster) Kill() {
	for _, s := range c {
		s.Kill()
	}
}

// Restart starts all servers again, with what they find on their disks.
func (c Cluster) Restart() {
	for _, s := range c {
		s.Restart()
	}
}
