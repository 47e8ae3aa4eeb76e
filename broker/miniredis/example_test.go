package miniredis_test

import (
	"context"
	"fmt"
	"log"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/miniredis"
)

// Two nodes share one embedded server: what one publishes, the other hears.
func Example() {
	ctx := context.Background()
	server, err := miniredis.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	here, err := server.Node()
	if err != nil {
		log.Fatal(err)
	}
	defer here.Close()
	there, err := server.Node()
	if err != nil {
		log.Fatal(err)
	}
	defer there.Close()

	feed, err := there.Feed(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if err := feed.Subscribe(ctx, "chat"); err != nil {
		log.Fatal(err)
	}
	if _, err := here.Publish(ctx, broker.Message{Channel: "chat", Data: []byte("hello")}); err != nil {
		log.Fatal(err)
	}
	m, err := feed.Next()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("[%s] %s\n", m.Channel, m.Data)
	// Output: [chat] hello
}
