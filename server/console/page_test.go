package console_test

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pregon/pregon/client/browsertest"
)

// inLog is the texts in the log, remarks in parentheses.
const inLog = `[...log.children].map(e => e.querySelector(".text")?.textContent ?? "(" + e.textContent + ")").join(" ")`

// check compares what an expression is in a tab.
func check(t *testing.T, tab context.Context, expression, want string) {
	t.Helper()
	if got := browsertest.Evaluate[string](t, tab, expression); got != want {
		t.Errorf("%s is %q, want %q", expression, got, want)
	}
}

// Messages, gaps and recoveries stand in the order in which they were heard, as text whatever
// is in them, and who published a message is beside it.
func testLog(t *testing.T, tab context.Context) {
	act(t, tab, "hear", `
		room = fake.rooms.c;
		room.hear("<b>bold</b>", { by: { sub: "ana" } });
		room.emit("gap", { channel: "c", reason: "link-lost" });
		room.hear("x".repeat(3000));
		room.emit("state", { state: "reconnecting" });
		room.emit("state", { state: "open" });`, "log.childElementCount === 4")
	act(t, tab, "go on", `
		room.hear(new Uint8Array(1));
		room.emit("gap", { channel: "c", reason: "some-new-reason" });
		room.emit("state", { state: "reconnecting" });
		room.emit("state", { state: "open" });
		room.emit("gap", { channel: "c", reason: "not-recovered" });`, "log.childElementCount === 7")
	check(t, tab, inLog, strings.Join([]string{
		"<b>bold</b>", "(Messages may be missing on c: the server lost its link to the broker.)",
		strings.Repeat("x", 2000) + "… (3,000 characters)", "(Nothing is missing on c: what was published meanwhile follows.)",
		"(1 byte, binary)", "(Messages may be missing on c: some-new-reason.)",
		"(Messages may be missing on c: the history does not reach back far enough.)",
	}, " "))
	check(t, tab, `log.querySelector(".by").textContent`, "by ana")
	act(t, tab, "clear", "clear = document.getElementById(`clear`); clear.click()", `log.childElementCount === 0 && !empty.hidden`)
}

// A name that the server refuses is said to be refused, and why, and nothing becomes of the
// others. One without presence is listened to without it.
func testRefusal(t *testing.T, tab context.Context) {
	act(t, tab, "refuse", `
		fake.rooms.good.emit("state", { state: "open" });
		fake.rooms["a//b"].end({ code: "bad_channel", status: 400, message: "An empty segment." });
		first = fake.rooms.plain;
		first.end({ code: "no_presence", status: 403, message: "No presence." });
		fake.rooms.plain.emit("state", { state: "open" });`,
		`document.querySelectorAll("#channels [data-state=open]").length === 2 && log.childElementCount === 1`)
	check(t, tab, `document.querySelector("#channels [data-state=refused]").textContent`, "a//brefused×")
	check(t, tab, inLog, "(Not listening to a//b: An empty segment.)")
	check(t, tab, `JSON.stringify([first.options, fake.rooms.plain.options, fake.rooms.good.closed])`, `[{"presence":true},{},null]`)
	act(t, tab, "say that it has none", `document.querySelectorAll(".name")[2].click()`, text("unlisted", "the channel has no presence"))
}

// Channels come and go on the one connection, and the address of the page has those there are.
// The keyboard goes on where a channel was.
func testChannels(t *testing.T, tab context.Context) {
	act(t, tab, "remove", `document.querySelectorAll(".remove")[1].click()`, "fake.rooms.b.closed")
	check(t, tab, `document.activeElement.ariaLabel + location.search`, "Stop listening to c?channel=a&channel=c")
	browsertest.Do(t, tab, "add", chromedp.SendKeys(chromedp.CSS("#channel"), "d & e\r"), browsertest.Until(`fake.rooms["d & e"] !== undefined`))
	check(t, tab, `[location.search, target.value, chosen.textContent, fake.connections.length].join()`, "?channel=a&channel=c&channel=d+%26+e,d & e,d & e,1")
}

// Who is in the channel that is chosen is listed, and what is not known is said.
func testMembers(t *testing.T, tab context.Context) {
	const listed = `[...members.children].map(e => e.textContent).join(", ") + present.textContent + unlisted.textContent`
	act(t, tab, "choose", `document.querySelector(".name").click()`, `chosen.textContent === "c"`)
	check(t, tab, listed, "Not known yet.")
	for _, c := range []struct{ members, want string }{
		{`Object.assign([{ sub: "ana", connections: 2, info: { age: 7 } }, { sub: "<luis>" }], { count: 2 })`, `ana2 connections{"age":7}, <luis>2`},
		{`Object.assign([{ sub: "ana" }], { count: 1, complete: false })`, "ana1The list may not be complete yet."},
		{`Object.assign([], { count: 5000 })`, "5,0005,000 more"},
		{`Object.assign([], { count: 0 })`, "0Nobody who says a name."},
	} {
		act(t, tab, "hear", `fake.rooms.c.emit("members", `+c.members+`); fake.rooms.other.emit("members", Object.assign([], { count: 9 }))`,
			"("+listed+") === `"+c.want+"`")
	}
	act(t, tab, "tell apart", `fake.rooms.c.emit("members", Object.assign([{ sub: "ana" }], { count: 1 }));`, "members.children.length === 1")
	act(t, tab, "hear", "row = members.firstElementChild; fake.rooms.c.hear(`a message`)", "log.childElementCount === 1")
	check(t, tab, "String(row.isConnected)", "true") // the list is not written again with each message
}

// What was published before is shown where it is asked for, and why there is nothing.
func testHistory(t *testing.T, tab context.Context) {
	const show = `document.querySelector("#past button").click()`
	act(t, tab, "ask for nothing", show, text("read", "Nothing is kept."))
	act(t, tab, "ask", `document.querySelectorAll(".name")[1].click();`+show, text("read", "2 messages; there are older ones."))
	check(t, tab, `[...document.querySelectorAll("#history li")].map(e => e.textContent).join()`, "<i>,by ana(2 bytes, binary)")
	act(t, tab, "ask elsewhere", `document.querySelector("#add input").value = "missing"; document.getElementById("add").requestSubmit();`+show, text("read", "The answer was 404."))
}

// A message is published as it was typed, as text or as JSON, and what became of it is told.
func testPublish(t *testing.T, tab context.Context) {
	for _, c := range []struct{ format, typed, failure, want string }{
		{"text", "¡hola!", "", "Published to c, id cursor."},
		{"json", `{"n": 12345678901234567890}`, "", "Published to c, id cursor."},
		{"json", `{"n": `, "", "Not published: this is no JSON"},
		{"text", "refused", "You may not publish here.", "Not published: You may not publish here."},
	} {
		act(t, tab, c.typed, "fake.rooms.c.failure = `"+c.failure+"`; format.value = `"+c.format+"`; message.value = `"+c.typed+"`;"+
			"document.getElementById(`receipt`).textContent = ``; document.getElementById(`publish`).requestSubmit()", text("receipt", c.want))
	}
	check(t, tab, "JSON.stringify(fake.rooms.c.published)", `["¡hola!","{\"n\": 12345678901234567890}","refused"]`)
	check(t, tab, "message.value", "refused") // nobody has to type it again
	browsertest.Do(t, tab, "measure", browsertest.Until(text("latency", "ms")))
	browsertest.Do(t, tab, "begin a line", chromedp.Evaluate[chromedp.Void]("message.value = ``; fake.rooms.c.failure = ``"),
		chromedp.SendKeys(chromedp.CSS("#message"), "enter\r"), browsertest.Until(`fake.rooms.c.published.at(-1) === "enter"`))
}

// A token is for the connection, which is made anew with it and goes on where each channel was.
// It is in memory alone.
func testToken(t *testing.T, tab context.Context) {
	act(t, tab, "give a token", `
		fake.rooms.c.emit("state", { state: "open" });
		fake.rooms.c.hear("one", { id: "cursor 1" });
		credential.value = " eyJ.token.x "; member.value = "ana"; who.requestSubmit();`, "fake.connections.length === 2 && log.childElementCount === 1")
	check(t, tab, "JSON.stringify([fake.options, fake.rooms.c.options])", `[{"token":"eyJ.token.x"},{"since":"cursor 1","presence":true,"member":{"sub":"ana"}}]`)
	check(t, tab, inLog, "one")
	act(t, tab, "and another", `
		fake.rooms.other.emit("state", { state: "open" });
		who.requestSubmit();`, "fake.connections.length === 3 && log.childElementCount === 2")
	check(t, tab, inLog, "one (Messages may be missing on other: the connection was made anew, and there is no history.)")
	check(t, tab, "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.search])", `[{},{},"","?channel=c&channel=other"]`)
}
