package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Receipts have the cursor of the message, of which another with the same key in
// the same channel is no new one: it gets the first one's receipt and is not heard.
func TestReceiptsAndKeys(t *testing.T) {
	n, _ := withPast(t, 100)
	heard := n.ws("/ws?channel=a&channel=b")
	id := func(channel string, seq uint64) string {
		return `{"channel":"` + channel + `","id":"` + at(channel, seq) + `"`
	}
	for _, c := range []struct{ name, request, want string }{
		{"one", post("/publish/a", "1"), id("a", 1) + "}"},
		{"with key", post("/publish/a", "2", "Idempotency-Key: k 1"), id("a", 2) + "}"},
		{"again", post("/publish/a", "2", "Idempotency-Key: k 1"), id("a", 2) + `,"repeated":true}`},
		{"many", post("/publish?channel=a&channel=b", "3", "Idempotency-Key: k 1"),
			`{"receipts":[` + id("a", 2) + `,"repeated":true},` + id("b", 1) + "}]}"},
		{"longest key", post("/publish/b", "4", "Idempotency-Key: "+strings.Repeat("~", 255)), id("b", 2) + "}"},
		{"batch", batchOf("/publish", "application/json", `[{"channel":"a","data":"5","key":"k2"},{"channels":["a","b"],"data":"6","key":"k2"},{"channel":"b","data":"7"}]`),
			`{"receipts":[` + id("a", 3) + "}," + id("a", 3) + `,"repeated":true},` + id("b", 3) + "}," + id("b", 4) + "}]}"},
	} {
		resp, body := n.raw(c.request)
		if resp == nil || resp.StatusCode != http.StatusOK || body != c.want+"\n" {
			t.Errorf("%s: %v\n%s\nwant\n%s", c.name, resp, body, c.want)
		}
	}
	n.publish("a", "end")
	want := map[string][]string{"a": {"1", "2", "5", "end"}, "b": {"3", "4", "6", "7"}}
	got := map[string][]string{}
	for range 8 { // in order in each channel
		channel, text, _ := strings.Cut(strings.TrimPrefix(read(t, heard), "["), "] ")
		got[channel] = append(got[channel], text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Pages of allowed origins may send a key.
func TestPreflightAllowsKeys(t *testing.T) {
	n, _ := withPast(t, 10)
	resp, _ := n.raw(get("OPTIONS /publish/c", "Origin: http://example.com"))
	if resp == nil || !strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "Idempotency-Key") {
		t.Error(resp)
	}
}
