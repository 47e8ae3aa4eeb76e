package server_test

import (
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
)

// badHistory are bad inputs to a server that keeps a history.
var badHistory = []badInput{
	{"since nothing", upgrade("/ws/c?since="), 400, "bad_cursor"},
	{"since -1", upgrade("/ws/c?since=-1"), 400, "bad_cursor"},
	{"since of a Redis stream", upgrade("/ws/c?since=18446744073709551616-0"), 400, "bad_cursor"},
	{"since of 1 KB", upgrade("/ws/c?since=" + strings.Repeat("A", 1024)), 400, "bad_cursor"},
	{"since of epoch 0", upgrade("/ws/c?since=" + strings.Repeat("A", 27)), 400, "bad_cursor"},
	{"since with padding", upgrade("/ws/c?since=" + at("c", 1) + "="), 400, "bad_cursor"},
	{"since with NUL", get("GET /sse/c?since=%00" + at("c", 1)[1:]), 400, "bad_cursor"},
	{"since with a line end", upgrade("/ws/c?since=%0a" + at("c", 1)[1:]), 400, "bad_cursor"},
	{"two since of one channel", upgrade("/ws/c?since=" + at("c", 1) + "&since=" + at("c", 2)), 400, "bad_cursor"},
	{"more since than channels", upgrade("/ws?channel=c&channel=c&since=" + at("c", 1) + "&since=" + at("c", 2)), 400, "bad_cursor"},
	{"one of many garbled", upgrade("/ws?channel=c&channel=d&since=" + at("c", 1) + "&since=x"), 400, "bad_cursor"},
	{"since and history", get("GET /sse/c?history=1&since=" + at("c", 1)), 400, "two_ways"},
	{"history of nothing", upgrade("/ws/c?history="), 400, "bad_history"},
	{"history 0", upgrade("/ws/c?history=0"), 400, "bad_history"},
	{"history -1", upgrade("/ws/c?history=-1"), 400, "bad_history"},
	{"history +1", upgrade("/ws/c?history=%2B1"), 400, "bad_history"},
	{"history 1001", upgrade("/ws/c?history=1001"), 400, "bad_history"},
	{"history all", upgrade("/ws/c?history=all"), 400, "bad_history"},
	{"history 2^64+1", upgrade("/ws/c?history=18446744073709551617"), 400, "bad_history"},
	{"history twice", upgrade("/ws/c?history=1&history=1"), 400, "bad_history"},

	{"read since garbage", get("GET /history/c?since=x"), 400, "bad_cursor"},
	{"read since twice", get("GET /history/c?since=" + at("c", 1) + "&since=" + at("c", 1)), 400, "bad_cursor"},
	{"limit 0", get("GET /history/c?limit=0"), 400, "bad_limit"},
	{"limit 1001", get("GET /history/c?limit=1001"), 400, "bad_limit"},
	{"limit in hexadecimal", get("GET /history/c?limit=0x5"), 400, "bad_limit"},
	{"limit twice", get("GET /history/c?limit=1&limit=2"), 400, "bad_limit"},
	{"wait 61s", get("GET /history/c?wait=61s"), 400, "bad_wait"},
	{"wait -1s", get("GET /history/c?wait=-1s"), 400, "bad_wait"},
	{"wait without unit", get("GET /history/c?wait=30"), 400, "bad_wait"},
	{"wait for ever", get("GET /history/c?wait=9e99h"), 400, "bad_wait"},
	{"wait twice", get("GET /history/c?wait=1s&wait=1s"), 400, "bad_wait"},
	{"read a query with semicolon", get("GET /history/c?wait=1;s"), 400, "bad_query"},
	{"read no channel", get("GET /history/"), 404, "not_found"},
	{"read nothing", get("GET /history"), 404, "not_found"},
	{"read a bad channel", get("GET /history/a%00"), 400, "bad_channel"},
	{"read a reserved channel", get("GET /history/__pregon.heartbeat"), 403, "channel_reserved"},
	{"read from a foreign page", get("GET /history/c", "Origin: https://evil.example"), 403, "origin_not_allowed"},
	{"POST history", post("/history/c", "x"), 405, "method_not_allowed"},

	{"key of nothing", post("/publish/c", "m", "Idempotency-Key:"), 400, "bad_key"},
	{"key of 256", post("/publish/c", "m", "Idempotency-Key: "+long), 400, "bad_key"},
	{"key with tab", post("/publish/c", "m", "Idempotency-Key: a\tb"), 400, "bad_key"},
	{"key not ASCII", post("/publish/c", "m", "Idempotency-Key: ñ"), 400, "bad_key"},
	{"key with DEL", post("/publish?channel=c", "m", "Idempotency-Key: a\x7fb"), 400, ""},
	{"two keys", post("/publish/c", "m", "Idempotency-Key: a", "Idempotency-Key: a"), 400, "bad_key"},
	{"header key of a batch", strings.Replace(post("/publish", "[]", "Idempotency-Key: a"), "text/plain", "application/json", 1), 400, "bad_key"},
	{"item with a key of nothing", batchOf("/publish", "application/json", `[{"channel":"c","data":1,"key":""}]`), 400, "bad_key"},
	{"item with a number for a key", batchOf("/publish", "application/json", `[{"channel":"c","data":1,"key":1}]`), 400, "bad_key"},
	{"item with a key of spaces", batchOf("/publish", "application/json", `[{"channel":"c","data":1,"key":" a"}]`), 400, "bad_key"},
	{"item with a control in its key", batchOf("/publish", "application/json", `[{"channel":"c","data":1,"key":"a\u0000"}]`), 400, "bad_key"},
	{"item with half a character", batchOf("/publish", "application/json", `[{"channel":"c","data":1,"key":"\ud800"}]`), 400, "bad_key"},
	{"item with two keys", batchOf("/publish", "application/json", `[{"channel":"c","data":1,"key":"a","key":"a"}]`), 400, "bad_item"},
}

// Each bad input about history gets its answer, and publishes nothing; and a client
// that listens meanwhile misses nothing.
func TestBadHistory(t *testing.T) {
	onEveryGround(t, "?history=1m", func(t *testing.T, n *node, b broker.Broker) {
		n.answersAll(t, badHistory)
		if newest, err := b.(broker.Historian).Newest(t.Context(), "c"); err != nil || !newest[0].IsZero() {
			t.Error("something was published:", newest, err)
		}
	})
}
