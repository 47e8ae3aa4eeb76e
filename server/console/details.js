// What is known of the channel that is chosen: who is in it, and what was published before.
import { $, count, element, write } from "./dom.js";
import { shown } from "./log.js";

const maxMembers = 200; // that are shown

let channel;
let listed; // the members that are shown
let ask; // asks the server for a history

// start tells how to ask the server.
export function start(askServer) { ask = askServer; }

// choose shows another channel, or none.
export function choose(c) {
  channel?.select(false);
  channel = c;
  channel?.select(true);
  if (c) $("target").value = c.name;
  $("history").hidden = true;
  write($("read"), "");
  $("past").hidden = !c;
  show(c);
}

// show shows what has changed of a channel, if that is the one.
export function show(c) {
  if (c !== channel) return;
  write($("chosen"), c?.name ?? "No channel");
  write($("why"), c?.why ?? "");
  write($("present"), c?.members ? c.members.count.toLocaleString("en") : "");
  write($("unlisted"), c ? unlisted(c) : "");
  if (c?.members === listed) return; // this is called with each message, too
  listed = c?.members;
  $("members").replaceChildren(...(listed ?? []).slice(0, maxMembers).map(memberRow));
}

// unlisted says what the list does not have.
function unlisted({ members, hasPresence }) {
  if (!hasPresence) return "Who is here is not told: the channel has no presence.";
  if (!members) return "Not known yet.";
  if (members.complete === false) return "The list may not be complete yet.";
  const rows = Math.min(members.length, maxMembers);
  if (members.count > rows) return `${rows ? "and " : ""}${(members.count - rows).toLocaleString("en")} more`;
  return members.count ? "" : "Nobody who says a name.";
}

function memberRow({ sub, info, connections }) {
  const row = element("li", "", sub);
  if (connections > 1) row.append(element("span", "soft", count(connections, "connection")));
  if (info !== undefined) row.append(element("span", "soft", JSON.stringify(info)));
  return row;
}

$("past").onsubmit = async event => {
  event.preventDefault();
  const of = channel;
  const { answer, error } = await ask(`history/${encodeURIComponent(of.name)}?limit=${$("last").value}`);
  if (of !== channel) return;
  $("read").classList.toggle("trouble", Boolean(error));
  $("history").hidden = !answer?.messages.length;
  if (error) return write($("read"), error);
  $("history").replaceChildren(...answer.messages.map(pastRow));
  const kept = answer.messages.length ? count(answer.messages.length, "message") : "Nothing is kept";
  write($("read"), `${kept}${answer.more ? "; there are older ones" : ""}${answer.complete ? "" : "; some may be missing"}.`);
};

function pastRow({ id, data, encoding, by }) {
  const row = element("li", "text", shown({ data: encoding ? Uint8Array.from(atob(data), c => c.charCodeAt(0)) : data }));
  row.title = id;
  if (by?.sub) row.prepend(element("span", "by", `by ${by.sub}`));
  return row;
}
