// The log of what was heard, in order: the newest messages and what is to be said between them.
import { $, count, element, onceAFrame } from "./dom.js";

const maxRows = 1000;
const maxText = 2000; // characters of a message that are shown
const spokenEvery = 2000; // ms

const list = $("log"), scroll = $("scroll");
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

let waiting = []; // rows for the next frame, as functions that make them
let heard = 0;

// message shows a message of a channel.
export function message(m) {
  const at = Date.now();
  heard++;
  add(() => messageRow(m, at));
  unspoken++;
  speak(() => `${m.channel}: ${shown(m)}`);
}

// note shows a remark behind what came ahead of it.
export function note(text, trouble = false) {
  add(() => element("li", trouble ? "note trouble" : "note", text));
  speak(() => text);
}

// shown is what the page shows of a message.
export function shown({ data }) {
  if (typeof data !== "string") return `(${count(data.length, "byte")}, binary)`;
  if (data.length <= maxText) return data;
  return `${data.slice(0, maxText)}… (${count(data.length, "character")})`;
}

function messageRow(m, at) {
  const row = element("li", "message");
  const channel = element("span", "channel", m.channel);
  if (m.by?.sub) channel.append(element("span", "by", `by ${m.by.sub}`));
  const time = element("time", "", clock.format(at));
  if (m.id) time.title = m.id;
  row.append(channel, element("span", typeof m.data === "string" ? "text" : "text binary", shown(m)), time);
  return row;
}

// A row that would have gone before the next frame is never made. So a flood, or a tab that
// is hidden and has no frames, costs no more than the rows that there may be.
function add(makeRow) {
  waiting.push(makeRow);
  if (waiting.length >= 2 * maxRows) waiting.splice(0, waiting.length - maxRows);
  show();
}

const show = onceAFrame(() => {
  const rows = waiting.slice(-maxRows).map(makeRow => makeRow());
  if (rows.length === 0) return;
  waiting = [];
  $("empty").hidden = true;
  list.append(...rows);
  while (list.childElementCount > maxRows) list.firstElementChild.remove();
  $("count").textContent = count(heard, "message");
  follow();
});

// The last row is kept in sight unless the reader has scrolled up. A scroll event comes a
// frame later and may be of our own scroll, when the rows have already become longer. So not
// being at the end does not end following; only moving up does. The browser itself moves up
// only to hold the row that is read in its place, when older ones go: while following, it
// need not.
let following = true, top = 0;

function follow() {
  if (!following) return;
  scroll.scrollTop = scroll.scrollHeight;
  top = scroll.scrollTop;
}

scroll.onscroll = () => {
  if (scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 40) following = true;
  else if (scroll.scrollTop < top) following = false;
  top = scroll.scrollTop;
  scroll.style.overflowAnchor = following ? "none" : "auto";
  $("newest").hidden = following;
};
new ResizeObserver(follow).observe(scroll);

$("newest").onclick = () => {
  following = true;
  follow();
  scroll.focus();
};

$("clear").onclick = () => {
  waiting = [];
  heard = 0;
  list.replaceChildren();
  $("empty").hidden = false;
  $("count").textContent = "none yet";
};

// A screen reader is told once in a while; of many messages only how many, and the last.
let unspoken = 0, newest, timer = null;

function speak(text) {
  newest = text;
  timer ??= setTimeout(() => {
    timer = null;
    $("spoken").textContent = (unspoken > 1 ? `${count(unspoken, "message")}, at last ` : "") + newest();
    unspoken = 0;
  }, spokenEvery);
}
