// Command pregon is pregon with one more protocol. It is a copy of cmd/pregon/main.go
// with another import.
package main

import (
	"github.com/pregon/pregon/cmd"

	_ "github.com/pregon/pregon/broker/memory"
	_ "github.com/pregon/pregon/broker/miniredis"
	_ "github.com/pregon/pregon/broker/redis"
	_ "github.com/pregon/pregon/transport/live"
	_ "github.com/pregon/pregon/transport/sse"
	_ "github.com/pregon/pregon/transport/ws"

	_ "example.com/pregon-lines/lines"
)

func main() { cmd.Main() }
