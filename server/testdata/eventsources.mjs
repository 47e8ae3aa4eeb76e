// What the clients of TestForeignEventSources have in common, in Node and in a page.

// reporter returns a function that tells the test what a client heard, in order.
// What comes while a report is on its way waits for the next.
export function reporter(collector) {
  const waiting = [];
  let sending = false;
  async function send() {
    sending = true;
    while (waiting.length > 0) {
      const answer = await fetch(collector + "/heard", { method: "POST", body: JSON.stringify(waiting.splice(0)) });
      if (!answer.ok) throw new Error("the test took no report: " + await answer.text());
    }
    sending = false;
  }
  return (client, event, data) => {
    waiting.push({ client, event, data });
    if (!sending) send();
  };
}

// hear reports what an EventSource dispatches, and that it has closed itself.
export function hear(report, client, source) {
  for (const event of ["message", "subscribed", "gap"]) {
    source.addEventListener(event, e => report(client, event, e.data));
  }
  source.addEventListener("error", () => {
    if (source.readyState === 2) report(client, "closed", "readyState is CLOSED");
  });
}

// hearFetch reports the same of fetchEventSource, which returns when it gives up.
export function hearFetch(report, client, fetchEventSource, url, options) {
  fetchEventSource(url, { ...options, onmessage: e => report(client, e.event || "message", e.data) }).then(
    () => report(client, "closed", "fetchEventSource has returned"),
    error => report(client, "closed", String(error)));
}
