// Server is a NATS server that runs by a configuration file, for tests. It is a program of its own, so that tests with the race
// detector need not wait for a server with one.
package main

import (
	"log"
	"os"

	"github.com/nats-io/nats-server/v2/server"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: server nats.conf")
	}
	o, err := server.ProcessConfigFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	o.NoSigs = true
	s, err := server.NewServer(o)
	if err != nil {
		log.Fatal(err)
	}
	s.Start()
	s.WaitForShutdown()
}
