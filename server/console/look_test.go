package console_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pregon/pregon/client/browsertest"
)

// axe returns the script of axe-core, from npm.
func axe(t *testing.T) string {
	t.Helper()
	for _, folder := range filepath.SplitList(os.Getenv("NODE_PATH")) {
		if script, err := os.ReadFile(filepath.Join(folder, "axe-core", "axe.min.js")); err == nil {
			return string(script)
		}
	}
	browsertest.Missing(t, "no axe-core: npm install axe-core, and set NODE_PATH")
	return ""
}

// fill has all parts of the page show something.
const fill = `
	for (const room of Object.values(fake.rooms)) room.emit("state", { state: "open" });
	fake.rooms["a//b"].end({ code: "bad_channel", status: 400, message: "The channel name has an empty segment." });
	room = fake.rooms["room.1"];
	room.emit("members", Object.assign([{ sub: "ana", connections: 2, info: { name: "Ana" } }, { sub: "luis" }], { count: 2 }));
	room.hear("Hello, everybody", { by: { sub: "ana" } });
	room.hear('{"temperature":21.5,"unit":"C","place":"the kitchen on the first floor, beside the window"}');
	room.hear(new Uint8Array(300));
	room.emit("gap", { channel: "room.1", reason: "link-lost" });
	room.hear("A_long_word_".repeat(20));
	fake.rooms.c.hear("¡qué bien!");
	room.emit("state", { state: "reconnecting" });
	room.emit("state", { state: "open" });
	room.hear("the last");
	for (const button of document.querySelectorAll(".name")) if (button.textContent === "room.1") button.click();
	fake.pregon.emit("state", { state: "reconnecting", reason: { message: "The server cannot be reached." }, wait: 60 });
	document.getElementById("access").open = true;
	target.value = "c"; message.value = "hello"; document.getElementById("publish").requestSubmit();
	document.querySelector(".name").click(); document.querySelector("#past button").click();`

// The form for publishing holds at every width: the box for the message is wide enough to write in, its
// placeholder is in one line, and nothing is cut off or wider than the window.
func TestConsoleFormAtAllWidths(t *testing.T) {
	t.Parallel()
	tab := open(t, browsertest.Start(t), serve(t)+"/?channel=c&channel=a//b&channel=room.1")
	act(t, tab, "fill", fill, text("read", "2 messages"))
	act(t, tab, "an empty form", `message.value = ""; document.getElementById("access").open = false;`, "message.value === ``")
	for _, width := range []int64{360, 480, 640, 672, 720, 800, 1023, 1024, 1100, 1200, 1280, 1366, 1600, 1920} {
		browsertest.Do(t, tab, fmt.Sprint(width), chromedp.EmulateViewport(width, 900),
			browsertest.Until(fmt.Sprintf("innerWidth === %d", width)))
		browsertest.Screenshot(t, tab, fmt.Sprint("form-", width))
		for _, wrong := range browsertest.Evaluate[[]string](t, tab, `(() => {
			const wrong = [], style = getComputedStyle(message), form = document.getElementById("publish");
			const lines = (message.scrollHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom)) / parseFloat(style.lineHeight);
			if (message.clientWidth < 180) wrong.push("the message box is " + message.clientWidth + " pixels wide");
			if (lines > 1.5) wrong.push("the placeholder has " + lines + " lines");
			if (document.documentElement.scrollWidth > innerWidth) wrong.push("the page is " + document.documentElement.scrollWidth + " pixels wide");
			for (const part of form.querySelectorAll("select, textarea, button")) {
				const is = part.getBoundingClientRect(), room = form.getBoundingClientRect();
				if (is.left < room.left - 1 || is.right > room.right + 1) wrong.push(part.id + " is cut off");
			}
			return wrong;
		})()`) {
			t.Errorf("at %d pixels: %s", width, wrong)
		}
	}
}

// Nobody is kept out: axe-core finds nothing, whatever the width and the colours, and nothing
// is wider than the window.
func TestConsoleLook(t *testing.T) {
	t.Parallel()
	script := axe(t)
	tab := open(t, browsertest.Start(t), serve(t)+"/?channel=c&channel=a//b&channel=room.1")
	act(t, tab, "fill", fill, text("read", "2 messages")+"&&"+text("latency", "ms"))
	browsertest.Do(t, tab, "load axe-core", chromedp.Evaluate[chromedp.Void](script+";0"))
	for _, width := range []int64{360, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			name := fmt.Sprintf("%s-%d", scheme, width)
			browsertest.Do(t, tab, name, chromedp.EmulateViewport(width, 800),
				chromedp.Evaluate[chromedp.Void]("document.documentElement.style.colorScheme = `"+scheme+"`"),
				browsertest.Until(fmt.Sprintf("innerWidth === %d", width)))
			browsertest.Do(t, tab, "go to the top", chromedp.Evaluate[chromedp.Void]("scrollTo(0, 0)"))
			browsertest.Screenshot(t, tab, name)
			if wide := browsertest.Evaluate[int64](t, tab, "document.documentElement.scrollWidth"); wide > width {
				t.Errorf("%s: the page is %d pixels wide", name, wide)
			}
			for _, violation := range browsertest.Evaluate[[]json.RawMessage](t, tab, `axe.run().then(found => found.violations.map(
				v => ({ rule: v.id, help: v.help, nodes: v.nodes.map(n => n.html + " " + n.failureSummary) })))`) {
				t.Errorf("%s: %s", name, violation)
			}
		}
	}
}
