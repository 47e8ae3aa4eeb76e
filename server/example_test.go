package server_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
)

// A whole server inside a program: somebody listens, somebody publishes.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	b := memory.New()
	defer b.Close()
	s, err := server.New(ctx, server.Options{Broker: b})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	l, err := server.Listen(ctx, "localhost:0")
	if err != nil {
		panic(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve(ctx, l) }()

	web := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	stream, err := web.Get("http://" + l.Addr().String() + "/sse/noticias") // back when it is subscribed
	if err != nil {
		panic(err)
	}
	receipt, err := web.Post("http://"+l.Addr().String()+"/publish/noticias", "text/plain", strings.NewReader("¡Hola mundo!"))
	if err != nil {
		panic(err)
	}
	fmt.Println(receipt.Status)
	_ = receipt.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data:") {
			fmt.Println(lines.Text())
			break
		}
	}
	_ = stream.Body.Close()
	stop() // drains
	fmt.Println(<-served)
	// Output:
	// 200 OK
	// data: ¡Hola mundo!
	// <nil>
}

// In an http.Server of the program's own, which stops in three steps: clients are
// sent away, then requests end, and then the Server.
func ExampleServer_Drain() {
	ctx := context.Background()
	b := memory.New()
	defer b.Close()
	s, err := server.New(ctx, server.Options{Broker: b, Hosts: []string{"rt.example.com"}, DrainTime: time.Second})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/rt/", http.StripPrefix("/rt", s.Handler()))
	web := &http.Server{Handler: mux, ReadTimeout: 30 * time.Second}
	l, err := server.Listen(ctx, "localhost:0")
	if err != nil {
		panic(err)
	}
	served := make(chan error)
	go func() { served <- web.Serve(l) }()

	answer, err := http.Get("http://" + l.Addr().String() + "/rt/healthz")
	if err != nil {
		panic(err)
	}
	fmt.Println(answer.Status)
	_ = answer.Body.Close()
	http.DefaultClient.CloseIdleConnections()

	s.Drain(ctx)
	fmt.Println(web.Shutdown(ctx), <-served, s.Close())
	// Output:
	// 200 OK
	// <nil> http: Server closed <nil>
}

// A program publishes and reads without HTTP, and is refused what a caller over HTTP is.
func ExampleServer_Client() {
	ctx := context.Background()
	b := memory.NewBusWithHistory(broker.Retention{MaxMessages: 10, MaxAge: time.Minute}).Broker()
	defer b.Close()
	s, err := server.New(ctx, server.Options{Broker: b})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	c := s.Client(transport.Identity{Subject: "billing"})
	fmt.Println(c.Publish(ctx, broker.Message{Channel: "news", Data: []byte("hello")})[0].Err)
	page, err := c.History(ctx, "news", broker.Query{Limit: 10})
	fmt.Println(string(page.Messages[0].Data), err)
	fmt.Println(s.Publish(ctx, broker.Message{Channel: "__news"})[0].Err != nil)
	// Output:
	// <nil>
	// hello <nil>
	// true
}

// A program hears channels without HTTP, and goes on where it was.
func ExampleServer_Subscribe() {
	ctx := context.Background()
	b := memory.NewBusWithHistory(broker.Retention{MaxMessages: 10, MaxAge: time.Minute}).Broker()
	defer b.Close()
	s, err := server.New(ctx, server.Options{Broker: b})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	me := transport.Identity{Subject: "billing"}
	orders, err := s.Subscribe(ctx, me, transport.Subscription{Channel: "orders"})
	if err != nil {
		panic(err)
	}
	s.Publish(ctx, broker.Message{Channel: "orders", Data: []byte("first")})
	heard, err := orders.Next(ctx)
	fmt.Println(string(heard.Message.Data), err)
	orders.Close()
	s.Publish(ctx, broker.Message{Channel: "orders", Data: []byte("second")})

	orders, err = s.Subscribe(ctx, me, transport.Subscription{
		Channel: "orders", Start: transport.Start{Since: true, After: heard.Message.Position},
	})
	if err != nil {
		panic(err)
	}
	defer orders.Close()
	for range 2 {
		switch e, err := orders.Next(ctx); {
		case err != nil: // the subscription has ended: subscribe again behind the last position
		case e.Subscribed != nil:
			fmt.Println("recovered:", e.Subscribed.Recovered)
		case e.Gap != nil: // messages may be missing here
		default:
			fmt.Println(string(e.Message.Data))
		}
	}
	// Output:
	// first <nil>
	// recovered: true
	// second
}
