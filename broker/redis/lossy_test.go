package redis_test

import (
	"net"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// A node on a Redis Cluster says what that does not promise once it has published, also where its user may do nothing else; one on a
// single Redis has nothing to say.
func TestClusterSaysWhatIsNotPromised(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // the bus wants a port, by default one that may not exist
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	cluster := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-port", port)
	cluster.MustDo("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	for name, c := range map[string]struct {
		server *redistest.Server
		loses  bool
	}{"a cluster": {cluster, true}, "one Redis": {redistest.Start(t), false}} {
		c.server.MustDo("ACL", "SETUSER", "pregon", "on", ">s3cret", "&*", "+publish", "+ping")
		o := options(c.server.Addr())
		o.Username, o.Password = "pregon", "s3cret"
		b := newBroker(t, o)
		if said := b.NotPromised(); said != "" {
			t.Errorf("%s: before there is a connection: %q", name, said)
		}
		publish(t, b, "a", "x")
		if said := broker.Lossy(b).NotPromised(); (said != "") != c.loses {
			t.Errorf("%s: %q", name, said)
		}
	}
}
