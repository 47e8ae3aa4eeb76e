// How the connection stands, at the top of the page.
import { $, write } from "./dom.js";

let next = 0; // when the next attempt is, by performance.now
let timer;

const words = { open: "connected" };

// show says in which state the connection is and why, and counts down to the next attempt, which
// is after wait seconds.
export function show({ state, reason, wait }) {
  const word = words[state] ?? state;
  $("state").dataset.state = state;
  write($("state"), reason ? `${word}: ${reason.message}` : word); // what is written is read aloud
  $("again").hidden = state !== "closed";
  clearInterval(timer);
  next = performance.now() + 1000 * (wait ?? 0);
  countDown();
  if (wait) timer = setInterval(countDown, 250);
}

// The countdown is for the eye only.
function countDown() {
  const left = Math.ceil((next - performance.now()) / 1000);
  write($("countdown"), left > 0 ? `again in ${left} s` : "");
}
