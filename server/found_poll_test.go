package server_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
)

// Who polls a channel whose history was lost waits as everyone does, whatever
// cursor it gives, and always gets one to go on with.
func TestFoundPollsWait(t *testing.T) {
	old := at("c", 7)
	for name, since := range map[string]string{
		"nothing": "", "a lost history": old, "another channel": at("d", 7), "before the first": beforeFirst("c"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := memory.NewBusWithHistory(broker.Retention{MaxMessages: 10, MaxAge: time.Hour}).Broker()
				s, err := server.New(context.Background(), server.Options{Broker: b, Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = s.Close(); _ = b.Close() }()
				if err := s.Check(context.Background()); err != nil {
					t.Fatal(err)
				}
				target := "/history/c?wait=5s"
				if since != "" {
					target += "&since=" + since
				}
				for range 3 {
					began := time.Now()
					a := poll(t, s.Handler(), target)
					if took := time.Since(began); took < 5*time.Second || took > 6*time.Second {
						t.Errorf("answered after %v", took)
					}
					if len(a.Messages) > 0 || a.Next != beforeFirst("c") || a.Complete != (since == "") {
						t.Errorf("%+v", a)
					}
				}
				answers := make(chan pastAnswer, 1)
				go func() { answers <- poll(t, s.Handler(), target+"&limit=1") }()
				synctest.Wait()
				for _, text := range []string{"one", "two"} {
					if _, err := b.Publish(context.Background(), broker.Message{Channel: "c", Data: []byte(text)}); err != nil {
						t.Fatal(err)
					}
				}
				if a := <-answers; len(a.Messages) != 1 || a.Messages[0].Data != "one" || a.Complete != (since == "") {
					t.Errorf("when something came: %+v", a)
				} else if a = poll(t, s.Handler(), "/history/c?since="+a.Next); len(a.Messages) != 1 || a.Messages[0].Data != "two" || !a.Complete {
					t.Errorf("the next: %+v", a)
				}
			})
		})
	}
}

func poll(t *testing.T, h http.Handler, target string) pastAnswer {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
	var a pastAnswer
	if err := json.NewDecoder(w.Body).Decode(&a); w.Code != http.StatusOK || err != nil {
		t.Errorf("%s: %d %v", target, w.Code, err)
	}
	return a
}

// The same on a Redis that has lost everything.
func TestFoundPollsWaitOnRedis(t *testing.T) {
	r := redistest.Start(t)
	n := start(t, server.Options{Broker: open(t, r.URL()+"?history=5m")})
	n.publish("c", "lost")
	since := n.history("/history/c").Next
	r.MustDo("FLUSHALL")
	began := time.Now()
	a := n.history("/history/c?wait=500ms&since=" + since)
	if len(a.Messages) > 0 || a.Complete || a.Next == "" || time.Since(began) < 500*time.Millisecond {
		t.Errorf("after %v: %+v", time.Since(began), a)
	}
	answers := n.historyLater("/history/c?wait=30s&since=" + a.Next)
	n.publish("c", "new")
	if a := <-answers; len(a.Messages) != 1 || a.Messages[0].Data != "new" {
		t.Errorf("%+v", a)
	}
}
