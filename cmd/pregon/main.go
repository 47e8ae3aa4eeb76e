// Command pregon is a realtime fan-out server: see package cmd.
//
// To build one with further brokers or transports, copy this file and add their
// imports.
package main

import (
	"github.com/pregon/pregon/cmd"

	_ "github.com/pregon/pregon/broker/memory"
	_ "github.com/pregon/pregon/broker/miniredis"
	_ "github.com/pregon/pregon/broker/nats"
	_ "github.com/pregon/pregon/broker/redis"
	_ "github.com/pregon/pregon/transport/live"
	_ "github.com/pregon/pregon/transport/sse"
	_ "github.com/pregon/pregon/transport/ws"
)

func main() { cmd.Main() }
