package server_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pregon/pregon/broker"
)

// Any batch is published whole or refused whole, never a failure of the server.
// Where it is published, each message is what publishing its data alone sends.
func FuzzPublishBatch(f *testing.F) {
	for _, c := range append(badBatches, badBatch{items: []string{
		good, `{"channel":"a","data":"\ud83d\ude00"}`, `{"channels":["a","b","a"],"data": {"a": [1, "\ud800"]} }`,
		`{"channel":"a","data":"/wAB","encoding":"base64"}`, `{"channel":"a","data":null}`, `{"channel":"a","data":"","encoding":"base64"}`,
	}}) {
		f.Add(false, "["+strings.Join(c.items, ",")+"]")
		f.Add(true, strings.Join(c.items, "\n"))
		f.Add(false, c.items[0])
	}
	var last broker.Message
	var all []broker.Message
	send := recording(f, &last, &all)
	f.Fuzz(func(t *testing.T, inLines bool, body string) {
		contentType := "application/json"
		if inLines {
			contentType = ndjson
		}
		all = nil
		answer := send("/publish", contentType, body)
		batch := all
		switch {
		case answer.Code >= 500 || answer.Code != 200 && answer.Code < 400:
			t.Fatalf("%q: %d", body, answer.Code)
		case answer.Code != 200:
			if len(batch) > 0 {
				t.Fatalf("%q: refused and published", body)
			}
			return
		}
		var alone []broker.Message
		for _, item := range readItems(t, inLines, body) {
			for _, channel := range item.channels() {
				contentType, data := item.body()
				if data == "" { // of which there is no other body
					alone = append(alone, broker.Message{Channel: channel, Data: []byte{}, Binary: true})
					continue
				}
				if single := send("/publish/"+url.PathEscape(channel), contentType, data); single.Code != 200 {
					t.Fatalf("%q: %q alone: %d", body, data, single.Code)
				}
				alone = append(alone, last)
			}
		}
		if diff := cmp.Diff(alone, batch); diff != "" {
			t.Fatalf("%q: alone and in the batch: %s", body, diff)
		}
	})
}

// An item is one of a batch that was accepted, read in another way.
type item struct {
	Channel  string
	Channels []string
	Data     json.RawMessage
	Encoding string
}

func readItems(t *testing.T, inLines bool, body string) (items []item) {
	if !inLines && strings.HasPrefix(strings.TrimLeft(body, " \t\r\n"), "[") {
		if err := json.Unmarshal([]byte(body), &items); err != nil {
			t.Fatalf("%q was accepted: %v", body, err)
		}
		return items
	}
	for in := json.NewDecoder(strings.NewReader(body)); ; {
		var next item
		switch err := in.Decode(&next); err {
		case nil:
			items = append(items, next)
		case io.EOF:
			return items
		default:
			t.Fatalf("%q was accepted: %v", body, err)
		}
	}
}

// channels returns the names, each once.
func (i item) channels() (distinct []string) {
	for _, name := range append(i.Channels, i.Channel) {
		if name != "" && !slices.Contains(distinct, name) {
			distinct = append(distinct, name)
		}
	}
	return distinct
}

// body returns what publishes the item alone.
func (i item) body() (contentType, body string) {
	if i.Encoding == "" {
		return "application/json", string(i.Data)
	}
	var text string
	_ = json.Unmarshal(i.Data, &text)
	binary, _ := base64.StdEncoding.DecodeString(text)
	return "application/octet-stream", string(binary)
}
