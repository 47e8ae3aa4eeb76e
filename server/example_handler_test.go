package server_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
)

// In an application on Echo, below a path. The page to try it all is there, too. Middlewares
// that wrap responses need a method Unwrap, as Echo's have.
func ExampleServer_Handler_echo() {
	b := memory.New()
	defer b.Close()
	s, err := server.New(context.Background(), server.Options{Broker: b})
	if err != nil {
		panic(err)
	}
	defer s.Close()

	app := echo.New()
	app.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, "the application") })
	app.Any("/rt*", echo.WrapHandler(http.StripPrefix("/rt", s.Handler())))

	web := httptest.NewServer(app)
	defer web.Close()
	show(web, "/")
	show(web, "/rt/")
	show(web, "/rt") // is the page, too
	show(web, "/rt/healthz")
	stream, err := web.Client().Get(web.URL + "/rt/sse/news")
	if err != nil {
		panic(err)
	}
	fmt.Println(stream.Header.Get("Content-Type"), s.Subscribers("news"))
	_ = stream.Body.Close()
	s.Drain(context.Background())
	// Output:
	// 200 the application
	// 200 <!doctype html>
	// 200 <!doctype html>
	// 200 ok
	// text/event-stream 1
}

// In a program on net/http, below a path, beside its own handlers.
func ExampleServer_Handler() {
	b := memory.New()
	defer b.Close()
	s, err := server.New(context.Background(), server.Options{Broker: b})
	if err != nil {
		panic(err)
	}
	defer s.Close()

	app := http.NewServeMux()
	app.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "the application") })
	app.Handle("/rt/", http.StripPrefix("/rt", s.Handler()))

	web := httptest.NewServer(app)
	defer web.Close()
	show(web, "/")
	show(web, "/rt/")
	show(web, "/rt") // is sent to /rt/
	show(web, "/rt/healthz")
	// Output:
	// 200 the application
	// 200 <!doctype html>
	// 200 <!doctype html>
	// 200 ok
}

// show prints the status and the first line of what is at path.
func show(web *httptest.Server, path string) {
	answer, err := web.Client().Get(web.URL + path)
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		panic(err)
	}
	line, _, _ := strings.Cut(string(body), "\n")
	fmt.Println(answer.StatusCode, line)
}
