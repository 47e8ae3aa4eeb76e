// The clients of TestForeignHTTP2 that run in Node. Arguments: the event stream's URL, where to
// report to, and the name of this place.
const [url, collector, place] = process.argv.slice(2);

const { Agent, EventSource: UndiciEventSource, fetch: undiciFetch } = require("undici");
const { EventSource: NpmEventSource } = require("eventsource");
const { fetchEventSource } = require("@microsoft/fetch-event-source");

const dispatcher = new Agent({ allowH2: true, connect: { rejectUnauthorized: false } });
const fetch = (url, init) => undiciFetch(url, { ...init, dispatcher });

// fetchEventSource asks the page whether it is hidden, and for its timers.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };

import("./eventsources.mjs").then(({ reporter, hear, hearFetch }) => {
  const report = reporter(collector);
  hear(report, place + "undici", new UndiciEventSource(url, { dispatcher, node: { dispatcher } }));
  hear(report, place + "eventsource", new NpmEventSource(url, { fetch }));
  hearFetch(report, place + "fetch-event-source", fetchEventSource, url, { fetch });
});
