package server_test

import (
	"net/url"
	"testing"

	"github.com/pregon/pregon/server"
)

// One object is a batch of one, and UTF-8 is known by the name that many write.
func TestFoundBatchOfOne(t *testing.T) {
	n := start(t, server.Options{})
	c := n.ws("/ws/chat")
	for _, contentType := range []string{
		"application/json", "application/json; charset=UTF8", "application/json;charset=utf8", "application/json; charset=Utf-8", `application/json; charset="UTF8"`,
	} {
		for body, want := range map[string]string{
			`{"channel":"chat","data":"hola"}`:                           `{"receipts":[{"channel":"chat"}]}`,
			" \r\n\t{\n \"channels\": [\"chat\"], \"data\": \"hola\"}\n": `{"receipts":[{"channel":"chat"}]}`,
		} {
			if status, answer := n.post("/publish", contentType, body); status != 200 || answer != want+"\n" {
				t.Errorf("%s %q: %d %s", contentType, body, status, answer)
			}
			if got := read(t, c); got != "[chat] hola" {
				t.Errorf("heard %q", got)
			}
		}
	}
	if status, answer := n.post("/publish/chat", "text/plain; charset=UTF8", "hola"); status != 200 {
		t.Error(status, answer)
	}
}

// Names that need joiners are names, in the path, in the query and in a batch, and
// come back as they are; a name that proxies would change is refused in all three.
func TestFoundChannelNames(t *testing.T) {
	n := start(t, server.Options{})
	for name, status := range map[string]int{
		"\U0001F468\u200D\U0001F469\u200D\U0001F467": 200, "می\u200Cخواهم": 200, "https:example.com/a": 200,
		"https://example.com/a": 400, "a\u200Eb": 400, "a\u2060b": 400,
	} {
		ways := []struct{ path, contentType, body string }{
			{"/publish/" + url.PathEscape(name), "text/plain", "x"},
			{"/publish?channel=" + url.QueryEscape(name), "text/plain", "x"},
			{"/publish", "application/json", `{"channel":"` + name + `","data":"x"}`},
		}
		for _, way := range ways {
			if got, answer := n.post(way.path, way.contentType, way.body); got != status {
				t.Errorf("%q at %s: %d %s", name, way.path, got, answer)
			}
		}
		if status != 200 {
			continue
		}
		c := n.ws("/ws/" + url.PathEscape(name))
		for _, way := range ways {
			n.post(way.path, way.contentType, way.body)
			if got := read(t, c); got != "["+name+"] x" {
				t.Errorf("heard %q", got)
			}
		}
	}
}
