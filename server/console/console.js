// The page to try pregon: it listens and publishes over one connection of the client that every
// page may use.
import { connect } from "../pregon.js";
import { $ } from "./dom.js";
import { Channel } from "./channel.js";
import * as access from "./access.js";
import * as composer from "./composer.js";
import * as connection from "./connection.js";
import * as details from "./details.js";

const base = new URL("..", import.meta.url); // which may be below a prefix
const channels = new Map(); // by name, in the order of the list
let pregon;

// open connects, in place of the connection there is.
function open() {
  pregon?.close();
  pregon = connect(base.href, access.token() ? { token: access.token() } : {});
  connection.show({ state: "connecting" });
  pregon.on("state", connection.show);
  for (const c of channels.values()) c.join(pregon);
}

function listen(to) {
  if (channels.has(to)) return details.choose(channels.get(to));
  const c = new Channel(to, { onselect: details.choose, onremove: remove, onchange: details.show });
  channels.set(to, c);
  if (pregon) c.join(pregon);
  details.choose(c);
}

function remove(channel) {
  // The keyboard goes on with what is now in the place of the button.
  const beside = channel.row.nextElementSibling ?? channel.row.previousElementSibling;
  channel.remove();
  channels.delete(channel.name);
  (beside?.querySelector(".remove") ?? $("channel")).focus();
  details.choose([...channels.values()].at(-1));
  remember();
}

// remember keeps the channels in the address of the page.
function remember() {
  history.replaceState(null, "", "?" + new URLSearchParams([...channels.keys()].map(c => ["channel", c])));
}

// request asks the server by HTTP, and returns its answer or what to tell.
async function request(path, init = {}) {
  try {
    const response = await fetch(new URL(path, base), { ...init, headers: { ...init.headers, ...access.headers() } });
    const answer = await response.json().catch(() => ({})); // a proxy answers in its own words
    return response.ok ? { answer } : { error: access.explained({ status: response.status, detail: answer.detail }) };
  } catch {
    return { error: "The server cannot be reached." };
  }
}

// publish publishes over the connection; with a key, or where it may not listen, by HTTP.
async function publish(to, data) {
  if (!access.hasKey() && channels.get(to).isOpen) return channels.get(to).publish(data);
  const { answer, error } = await request(`publish/${encodeURIComponent(to)}`,
    { method: "POST", headers: { "Content-Type": "text/plain" }, body: data });
  if (error) throw new Error(error);
  return answer;
}

$("add").onsubmit = event => {
  event.preventDefault();
  listen($("channel").value);
  $("channel").value = "";
  remember();
};

$("again").onclick = open;

access.start(open);
details.start(request);
composer.start(publish);
const asked = new URLSearchParams(location.search).getAll("channel");
for (const channel of asked.length ? asked : ["noticias"]) listen(channel);
details.choose(channels.values().next().value);
open();
