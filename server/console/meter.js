// What is measured here: how much is heard, and how long one's own messages take.
import { $ } from "./dom.js";

const points = 60;
const maxPending = 100; // messages that were published and are not yet heard

let heardNow = 0;
const rates = new Array(points).fill(0), latencies = [];
const pending = []; // {channel, data, at}, the oldest first

// published says that a message is about to be published.
export function published(channel, data) {
  pending.push({ channel, data, at: performance.now() });
  if (pending.length > maxPending) pending.shift();
}

// unpublished says that it was not.
export function unpublished(channel, data) { take(channel, data); }

// heard counts a message that was heard. The first with the text of one that was published is
// taken to be it.
export function heard({ channel, data }) {
  heardNow++;
  const own = take(channel, data);
  if (!own) return;
  latencies.push(performance.now() - own.at);
  if (latencies.length > points) latencies.shift();
  const sorted = latencies.toSorted((a, b) => a - b);
  $("latency").textContent = `${ms(latencies.at(-1))}, median ${ms(sorted[sorted.length >> 1])}`;
  draw("latencies", latencies);
}

function take(channel, data) {
  const i = pending.findIndex(p => p.channel === channel && p.data === data);
  return i < 0 ? undefined : pending.splice(i, 1)[0];
}

const ms = t => `${t < 10 ? t.toFixed(1) : Math.round(t)} ms`;

// A tab that is hidden has its timer called late.
let counted = performance.now();
setInterval(() => {
  const now = performance.now();
  const rate = heardNow * 1000 / (now - counted);
  counted = now;
  heardNow = 0;
  rates.push(rate);
  rates.shift();
  $("rate").textContent = Math.round(rate).toLocaleString("en");
  draw("rates", rates);
}, 1000);

// draw draws values from the left to the right, the newest last, as high as the highest.
function draw(id, values) {
  const highest = Math.max(...values) || 1;
  const line = values.map((v, i) => `${i + points - values.length} ${(19 - 18 * v / highest).toFixed(2)}`);
  $(id).firstElementChild.setAttribute("d", `M${line.join("L")}h0`); // a single point is seen, too
}
