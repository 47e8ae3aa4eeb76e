package server_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server"
)

const ndjson = "application/x-ndjson"

// A batch, in either form, is published in its order and has its receipts in that
// order; data is what it would be as a body of application/json.
func TestBatchIsHeard(t *testing.T) {
	n := start(t, server.Options{})
	a, b := n.ws("/ws/a?format=json"), n.ws("/ws/b?format=json")
	items := []string{
		`{"channel":"a","data":"¡Hola mundo!"}`,
		`{"data": {"x": [1e400, "\ud800"]}, "channel":"b"}`,
		`{"channel":"a","data":null}`,
		`{"channels":["a","b","a"],"data":""}`,
		`{"channel":"b","data":"/wAB","encoding":"base64"}`,
	}
	heard := []struct {
		by   *websocket.Conn
		want string
	}{
		{a, `a "¡Hola mundo!" `}, {a, `a "null" `}, {a, `a "" `},
		{b, `b "{\"x\": [1e400, \"\\ud800\"]}" `}, {b, `b "" `}, {b, `b "/wAB" base64`},
	}
	const receipts = `{"receipts":[{"channel":"a"},{"channel":"b"},{"channel":"a"},{"channel":"a"},{"channel":"b"},{"channel":"b"}]}` + "\n"
	for _, form := range []struct{ contentType, body string }{
		{"application/json", " [" + strings.Join(items, ",\n") + "] "},
		{"application/json; charset=UTF-8", "[" + strings.Join(items, ",") + "]"},
		{ndjson, strings.Join(items, "\n")},
		{"application/jsonl", "\r\n" + strings.Join(items, "\r\n \n") + "\n\n"},
	} {
		if status, body := n.post("/publish", form.contentType, form.body); status != http.StatusOK || body != receipts {
			t.Fatalf("%s: %d %s", form.contentType, status, body)
		}
		for _, h := range heard {
			var m struct{ Channel, Data, Encoding string }
			if err := json.Unmarshal([]byte(read(t, h.by)), &m); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%s %q %s", m.Channel, m.Data, m.Encoding); got != h.want {
				t.Errorf("%s: heard %s, want %s", form.contentType, got, h.want)
			}
		}
	}
}

// One message reaches many channels in one call, each once, whatever way the
// message is given; an array with channels in the query is a message.
func TestOneMessageToManyChannels(t *testing.T) {
	n := start(t, server.Options{})
	a, b := n.ws("/ws/a"), n.ws("/ws/b")
	for _, form := range []struct{ query, contentType, body, want string }{
		{"&message=hola", "", "", "hola"},
		{"", "text/plain", "hola", "hola"},
		{"", "application/json", `"hola"`, "hola"},
		{"", "application/json", `[{"channel":"c","data":1}]`, `[{"channel":"c","data":1}]`},
		{"", "application/x-www-form-urlencoded", "message=hola", "hola"},
	} {
		status, body := n.post("/publish?channel=a&channel=b&channel=a"+form.query, form.contentType, form.body)
		if status != http.StatusOK || body != `{"receipts":[{"channel":"a"},{"channel":"b"}]}`+"\n" {
			t.Errorf("%v: %d %s", form, status, body)
		}
		if got, want := read(t, a)+read(t, b), "[a] "+form.want+"[b] "+form.want; got != want {
			t.Errorf("%v: heard %s, want %s", form, got, want)
		}
	}
}

// A badBatch is a batch whose last item is at fault.
type badBatch struct {
	name   string
	items  []string
	status int
	code   string
}

const good = `{"channel":"canary","data":"must not be heard"}`

var badBatches = []badBatch{
	{"not JSON", []string{good, `{`}, 400, "bad_json"},
	{"not JSON inside", []string{good, `{"channel":"a","data":01}`}, 400, "bad_json"},
	{"not an object", []string{good, good, `1`}, 400, "bad_item"},
	{"null", []string{`null`}, 400, "bad_item"},
	{"an array", []string{`["canary","x"]`}, 400, "bad_item"},
	{"unknown member", []string{good, `{"channel":"a","data":1,"id":2}`}, 400, "bad_item"},
	{"wrong case", []string{`{"Channel":"a","data":1}`}, 400, "bad_item"},
	{"member twice", []string{`{"channel":"a","data":1,"d\u0061ta":2}`}, 400, "bad_item"},
	{"channel twice", []string{`{"channel":"a","channel":"b","data":1}`}, 400, "bad_item"},
	{"no channel", []string{good, `{"data":1}`}, 400, "no_channel"},
	{"no channels", []string{`{"channels":[],"data":1}`}, 400, "no_channel"},
	{"channel and channels", []string{`{"channel":"a","channels":["b"],"data":1}`}, 400, "two_ways"},
	{"channel not a string", []string{`{"channel":1,"data":1}`}, 400, "bad_item"},
	{"channel null", []string{`{"channel":null,"data":1}`}, 400, "bad_item"},
	{"channel an array", []string{`{"channel":["a"],"data":1}`}, 400, "bad_item"},
	{"channels a string", []string{`{"channels":"a","data":1}`}, 400, "bad_item"},
	{"channels null", []string{`{"channels":null,"data":1}`}, 400, "bad_item"},
	{"channels not strings", []string{`{"channels":["a",{}],"data":1}`}, 400, "bad_item"},
	{"channel empty", []string{good, `{"channel":"","data":1}`}, 400, "channel_empty"},
	{"channel too long", []string{`{"channel":"` + long + `","data":1}`}, 400, "channel_too_long"},
	{"channel reserved", []string{good, `{"channels":["a","__pregon.x"],"data":1}`}, 403, "channel_reserved"},
	{"channel with NUL", []string{`{"channel":"a\u0000","data":1}`}, 400, "bad_channel"},
	{"channel with half a character", []string{`{"channel":"a\udc00","data":1}`}, 400, "bad_channel"},
	{"no data", []string{good, `{"channel":"a"}`}, 400, "no_message"},
	{"data with half a character", []string{`{"channel":"a","data":"\ud83d\ud83d\ude00"}`}, 400, "invalid_utf8"},
	{"not UTF-8", []string{good, "{\"channel\":\"a\",\"data\":\"\xff\"}"}, 400, "invalid_utf8"},
	{"unknown encoding", []string{`{"channel":"a","data":"00","encoding":"hex"}`}, 400, "bad_encoding"},
	{"encoding null", []string{`{"channel":"a","data":"","encoding":null}`}, 400, "bad_encoding"},
	{"base64 of a number", []string{`{"channel":"a","data":1,"encoding":"base64"}`}, 400, "bad_encoding"},
	{"bad base64", []string{good, `{"channel":"a","data":"/wA","encoding":"base64"}`}, 400, "bad_encoding"},
	{"base64 with bits to spare", []string{`{"channel":"a","data":"/x==","encoding":"base64"}`}, 400, "bad_encoding"},
	{"base64 in lines", []string{`{"channel":"a","data":"/w\nAB","encoding":"base64"}`}, 400, "bad_encoding"},
	{"too large", []string{good, `{"channel":"a","data":"` + strings.Repeat("x", 1025) + `"}`}, 413, "too_large"},
	{"binary too large", []string{`{"channel":"a","encoding":"base64","data":"` + base64.StdEncoding.EncodeToString(make([]byte, 1025)) + `"}`}, 413, "too_large"},
}

// A batch with one bad item is refused with the item's position, and nothing of it
// is published.
func TestBadBatches(t *testing.T) {
	n := start(t, server.Options{MaxMessage: 1024})
	canary := n.ws("/ws/canary")
	for i, c := range badBatches {
		for contentType, body := range map[string]string{
			"application/json": "[" + strings.Join(c.items, ",") + "]",
			ndjson:             strings.Join(c.items, "\n"),
		} {
			t.Run(c.name+" "+contentType, func(t *testing.T) {
				resp, answer := n.raw(batchOf("/publish", contentType, body))
				checkAnswer(t, badInput{status: c.status, code: c.code}, resp, answer)
				if want := fmt.Sprintf(`"index":%d}`+"\n", len(c.items)-1); !strings.HasSuffix(answer, want) {
					t.Errorf("answer %s, want %s", answer, want)
				}
				text := strconv.Itoa(i)
				n.publish("canary", text)
				if got := read(t, canary); got != "[canary] "+text {
					t.Errorf("canary heard %q", got)
				}
			})
		}
	}
}

// What is no batch at all has no item at fault.
func TestNoBatch(t *testing.T) {
	n := start(t, server.Options{})
	for _, c := range []struct{ contentType, body, code string }{
		{"application/json", ``, "bad_batch"},
		{"application/json", `"a"`, "bad_batch"},
		{"application/json", `[]`, "empty"},
		{ndjson, "", "empty"},
		{ndjson, "\n \r\n", "empty"},
	} {
		if status, body := n.post("/publish", c.contentType, c.body); status != 400 || !strings.Contains(body, `"`+c.code+`"`) || strings.Contains(body, "index") {
			t.Errorf("%s %q: %d %s", c.contentType, c.body, status, body)
		}
	}
	for _, body := range []string{"{", good + good, good + "\n" + good, good + "x", "[", "[" + good, "[" + good + ",", "[" + good + ",]", "[" + good + "]x", "[" + good + "][]", "[" + good + " " + good + "]", "[,]"} {
		if status, answer := n.post("/publish", "application/json", body); status != 400 || !strings.Contains(answer, `"bad_json"`) {
			t.Errorf("%q: %d %s", body, status, answer)
		}
	}
}

// A batch has at most 10,000 messages, each channel counted.
func TestBatchLimit(t *testing.T) {
	n := start(t, server.Options{})
	line := `{"channel":"a","data":1}` + "\n"
	names := `{"channels":["a"` + strings.Repeat(`,"a"`, 4999) + `],"data":1}` + "\n"
	for _, c := range []struct {
		body   string
		status int
		index  string
	}{
		{strings.Repeat(line, 10_000), 200, ""},
		{strings.Repeat(line, 10_001), 400, `"index":10000}`},
		{strings.Repeat(line, 5000) + names, 200, ""},
		{strings.Repeat(line, 5001) + names, 400, `"index":5001}`},
	} {
		status, body := n.post("/publish", ndjson, c.body)
		if status != c.status || !strings.Contains(body, c.index) || status != 200 && !strings.Contains(body, "too_many_messages") {
			t.Errorf("%d lines: %d %.200s", strings.Count(c.body, "\n"), status, body)
		}
	}
}

// A scripted broker with the capability, whose results the test says.
type scriptedBatch struct {
	*scripted
	errs []error
}

func (s scriptedBatch) PublishBatch(_ context.Context, messages []broker.Message) []broker.Result {
	results := make([]broker.Result, len(messages))
	for i := range results {
		results[i].Err = s.errs[i]
	}
	return results
}

// Where the broker did not take all of a batch, the caller is told of each
// message what became of it, and asked to come again only where that doubles
// nothing.
func TestBatchThatFails(t *testing.T) {
	down, denied, doubt, large := broker.ErrUnavailable, broker.ErrDenied, broker.ErrUncertain, broker.ErrTooLarge
	for _, c := range []struct {
		name      string
		errs      []error
		status    int
		code      string
		index     float64
		published float64
		outcomes  []any
		retry     bool
	}{
		{"down", []error{down, down, down}, 503, "broker_unavailable", 0, 0, []any{"not_published", "not_published", "not_published"}, true},
		{"denied", []error{denied, denied, down}, 403, "broker_denied", 0, 0, []any{"not_published", "not_published", "not_published"}, false},
		{"too large", []error{large, large, large}, 413, "too_large", 0, 0, []any{"not_published", "not_published", "not_published"}, false},
		{"partly", []error{nil, denied, nil}, 503, "partly_published", 0, 2, []any{"published", "not_published", "published"}, false},
		{"last", []error{nil, nil, down}, 503, "partly_published", 1, 2, []any{"published", "published", "not_published"}, false},
		{"in doubt", []error{nil, nil, doubt}, 504, "outcome_unknown", 1, 2, []any{"published", "published", "unknown"}, false},
		{"refused, then in doubt", []error{nil, denied, doubt}, 504, "outcome_unknown", 0, 1, []any{"published", "not_published", "unknown"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := start(t, server.Options{Broker: scriptedBatch{newScripted(), c.errs}})
			resp, body := n.raw(batchOf("/publish", ndjson, `{"channels":["a","b"],"data":1}`+"\n"+`{"channel":"c","data":2}`))
			checkAnswer(t, badInput{status: c.status, code: c.code}, resp, body)
			var got map[string]any
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err)
			}
			for _, known := range []string{"type", "title", "status", "code", "detail", "request"} {
				delete(got, known)
			}
			if diff := cmp.Diff(map[string]any{"index": c.index, "published": c.published, "outcomes": c.outcomes}, got); diff != "" {
				t.Error(diff)
			}
			if retry := resp.Header.Get("Retry-After") != ""; retry != c.retry {
				t.Errorf("Retry-After: %t", retry)
			}
		})
	}
}

// Without the capability the outcome of each is told too.
func TestBatchWithoutCapabilityFails(t *testing.T) {
	b := newScripted()
	n := start(t, server.Options{Broker: b})
	b.fail(broker.ErrUncertain)
	status, body := n.post("/publish?channel=a&channel=b", "text/plain", "x")
	if status != 504 || !strings.Contains(body, `"index":0,"outcomes":["unknown","not_published"],"published":0`) {
		t.Errorf("%d %s", status, body)
	}
}
