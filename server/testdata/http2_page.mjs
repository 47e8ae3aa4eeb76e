// The clients of TestForeignHTTP2 that run in a page.
import { reporter, hear } from "./eventsources.mjs";

const report = reporter(new URL(import.meta.url).origin);

// start opens n EventSources, more than a browser has connections to one host over HTTP/1.1.
export function start(url, place, n) {
  for (let i = 1; i <= n; i++) hear(report, `${place}EventSource ${i}`, new EventSource(url));
}

// protocol returns the one by which a resource came.
export async function protocol(resource) {
  const answer = await fetch(resource);
  await answer.text();
  return performance.getEntriesByName(new URL(resource, location.href).href).at(-1).nextHopProtocol;
}

// talks opens a WebSocket, and returns the type of the first thing that it is told.
export function talks(url) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.onerror = () => reject(new Error("the WebSocket failed"));
    socket.onmessage = e => { resolve(JSON.parse(e.data).type); socket.close(); };
  });
}
