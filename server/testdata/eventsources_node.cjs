// The clients of TestForeignEventSources that run in Node. Arguments: the event
// stream's URL, where to report to, and the name of this place.
const [url, collector, place] = process.argv.slice(2);

const { EventSource: UndiciEventSource } = require("undici");
const { EventSource: NpmEventSource } = require("eventsource");
const { EventSourcePolyfill } = require("event-source-polyfill");
const { fetchEventSource } = require("@microsoft/fetch-event-source");

console.error = () => {}; // event-source-polyfill writes about each connection that it lost

// fetchEventSource asks the page whether it is hidden, and for its timers.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };

import("./eventsources.mjs").then(({ reporter, hear, hearFetch }) => {
  const report = reporter(collector);
  hear(report, place + "undici", new UndiciEventSource(url));
  hear(report, place + "eventsource", new NpmEventSource(url));
  hear(report, place + "event-source-polyfill", new EventSourcePolyfill(url));
  hearFetch(report, place + "fetch-event-source", fetchEventSource, url);
});
