// The clients of TestForeignEventSources that run in a page, of whatever origin.
import { reporter, hear, hearFetch } from "./eventsources.mjs";
import { fetchEventSource } from "/npm/@microsoft/fetch-event-source/lib/esm/index.js";
import "/npm/event-source-polyfill/src/eventsource.js";
import htmx from "/npm/htmx.org/dist/htmx.esm.js";

const report = reporter(new URL(import.meta.url).origin);

// start begins to hear url with every client there is.
export async function start(url, place, withCredentials) {
  globalThis.htmx = htmx; // where the extension looks for it
  await import("/npm/htmx-ext-sse/sse.js");

  hear(report, place + "EventSource", new EventSource(url, { withCredentials }));
  hear(report, place + "event-source-polyfill", new EventSourcePolyfill(url, { withCredentials }));
  hearFetch(report, place + "fetch-event-source", fetchEventSource, url, { credentials: withCredentials ? "include" : "same-origin" });
  hearHTMX(place + "htmx-ext-sse", url); // always with credentials
}

function hearHTMX(client, url) {
  const element = document.createElement("div");
  element.setAttribute("hx-ext", "sse");
  element.setAttribute("sse-connect", url);
  element.innerHTML = `<p sse-swap="message,subscribed,gap"></p>`;
  element.addEventListener("htmx:sseMessage", e => report(client, e.detail.type, e.detail.data));
  element.addEventListener("htmx:sseError", e => {
    if (e.detail.source.readyState === EventSource.CLOSED) report(client, "closed", "readyState is CLOSED");
  });
  document.body.append(element);
  htmx.process(element);
}
