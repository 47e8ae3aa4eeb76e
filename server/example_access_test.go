package server_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/transport"
)

// A program knows its users already, here by a header of a proxy that has signed them in. It
// says who they are, and rules say what they may.
func ExampleOptions_authenticate() {
	b := memory.New()
	defer b.Close()
	policy, err := access.New(access.Config{Rules: []access.Rule{
		{Channels: []string{"news.**"}, Subscribe: access.Anyone},
		{Channels: []string{"user.{sub}"}, Subscribe: access.Token},
		{Channels: []string{"room.*"}, Subscribe: access.Grant, Publish: access.Grant},
	}})
	if err != nil {
		panic(err)
	}
	s, err := server.New(context.Background(), server.Options{
		Broker: b, Access: policy,
		Authenticate: func(r *http.Request) (transport.Identity, error) {
			name := r.Header.Get("X-Signed-In")
			if name == "" {
				return transport.Identity{}, nil // a stranger
			}
			rooms := []string{"room.1"} // of the user, from the program's database
			return transport.Identity{Kind: transport.User, Subject: name, Subscribe: rooms, Publish: rooms}, nil
		},
	})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	web := httptest.NewServer(s.Handler())
	defer web.Close()

	ask := func(user, channel string) {
		req, err := http.NewRequest(http.MethodPost, web.URL+"/publish/"+channel+"?message=hola", http.NoBody)
		if err != nil {
			panic(err)
		}
		if user != "" {
			req.Header.Set("X-Signed-In", user)
		}
		answer, err := web.Client().Do(req)
		if err != nil {
			panic(err)
		}
		_ = answer.Body.Close()
		fmt.Printf("%q publishes on %s: %s\n", user, channel, answer.Status)
	}
	ask("ana", "room.1")
	ask("ana", "room.2")
	ask("", "room.1")
	fmt.Println(s.Publish(context.Background(), broker.Message{Channel: "news.today", Data: []byte("hola")})[0].Err) // the program itself may
	// Output:
	// "ana" publishes on room.1: 200 OK
	// "ana" publishes on room.2: 403 Forbidden
	// "" publishes on room.1: 401 Unauthorized
	// <nil>
}

// What callers publish is changed, and logged with who it was.
func ExampleHooks_filter() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))
	hooks := server.Hooks{OnPublish: func(_ context.Context, by transport.Identity, m broker.Message) (broker.Message, error) {
		m.Data = bytes.ReplaceAll(m.Data, []byte("caramba"), []byte("c…"))
		log.Info("published", "by", by.Subject, "channel", m.Channel, "bytes", len(m.Data))
		return m, nil
	}}

	ctx, b := context.Background(), memory.New()
	defer b.Close()
	s, err := server.New(ctx, server.Options{Broker: b, Hooks: hooks})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	ana := transport.Identity{Kind: transport.User, Subject: "ana"}
	chat, err := s.Subscribe(ctx, ana, transport.Subscription{Channel: "chat"})
	if err != nil {
		panic(err)
	}
	defer chat.Close()
	s.Client(ana).Publish(ctx, broker.Message{Channel: "chat", Data: []byte("¡Ay, caramba!")})
	heard, err := chat.Next(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(heard.Message.Data))
	// Output:
	// msg=published by=ana channel=chat bytes=11
	// ¡Ay, c…!
}
