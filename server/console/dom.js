export const $ = id => document.getElementById(id);

// element makes an element with a text. Data becomes a part of the page here and nowhere
// else, and is never read as HTML.
export function element(tag, className, text = "") {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.textContent = text;
  return e;
}

// write changes a text only where it is another one, as screen readers say all that is written.
export function write(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

// count puts a number and its noun together.
export const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

// onceAFrame returns a function that has f run with the next frame, however often it is called
// until then.
export function onceAFrame(f) {
  let frame = null;
  return () => { frame ??= requestAnimationFrame(() => { frame = null; f(); }); };
}
