package server_test

import (
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
)

// A server works as the user whom the broker's diagnosis names, with no other
// permissions.
func TestFoundNarrowUser(t *testing.T) {
	for _, history := range []string{"", keepHistory} {
		t.Run("history "+history, func(t *testing.T) {
			redis := redistest.Start(t)
			d, ok := open(t, redis.URL()+history).(broker.Diagnoser)
			if !ok {
				t.Fatal("the broker is no Diagnoser")
			}
			findings, err := d.Diagnose(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range findings {
				if f.Subject == "permissions" {
					redis.MustDo(strings.Fields(strings.Replace(f.Advice, "PASSWORD", "s3cret", 1))...)
				}
			}
			n := start(t, server.Options{Broker: open(t, "redis://pregon:s3cret@"+redis.Addr()+history)})
			c := n.ws("/ws/chat?format=raw")
			n.publish("chat", "hola")
			if got := read(t, c); got != "hola" {
				t.Error(got)
			}
			if history != "" {
				if got := read(t, n.ws("/ws/chat?format=raw&history=1")); got != "hola" {
					t.Error(got)
				}
			}
		})
	}
}
