// The client of TestForeignRollingReplacement over /live, in Node. Arguments: the server's URL, where to report to, and
// the client's name.
import { connect } from "../../client/pregon.js";
import { reporter } from "./eventsources.mjs";
import { createRequire } from "node:module";

const [, , url, collector, name] = process.argv;
const report = reporter(collector);
const random = Math.random;
Math.random = () => random() / 10; // of its waits

const pregon = connect(url, { WebSocket: createRequire(process.env.NODE_PATH + "/")("ws").WebSocket });
pregon.on("state", ({ state, reason }) => {
  if (state === "closed") report(name, "closed", reason);
});
const room = pregon.channel("count");
room.on("message", m => report(name, "message", m.data));
room.on("gap", g => report(name, "gap", g.reason));
room.on("error", e => report(name, "closed", e.code));
