// A channel of the list: what it hears, who is in it, and how it stands.
import { $, element, onceAFrame, write } from "./dom.js";
import * as access from "./access.js";
import * as log from "./log.js";
import * as meter from "./meter.js";

// What the reasons of a gap mean to a reader.
const reasons = {
  "link-lost": "the server lost its link to the broker",
  "slow-client": "this page reads too slowly",
  "slow-consumer": "this page reads too slowly",
  "not-retained": "the history does not reach back far enough",
  "not-recovered": "the history does not reach back far enough",
  "not-kept": "the history could not keep them",
  "new-epoch": "the history was begun anew",
  "missing": "the history has a hole",
  "denied": "the broker does not allow this channel",
  "reconnected": "the connection was lost, and there is no history",
};

// A Channel is one that is listened to. onchange is called when what is shown of it has changed.
export class Channel {
  state = "connecting";
  why = ""; // it is in no better state
  members = null; // as the client lists them; null while they are not known
  #heard = 0;
  #last; // cursor
  #began = false; // to hear over this connection
  #missed = false; // something, since the state was told
  #presence = true;

  constructor(name, { onselect, onremove, onchange }) {
    this.name = name;
    this.changed = onceAFrame(() => { this.#draw(); onchange(this); });
    const choose = element("button", "name", name), remove = element("button", "remove", "×");
    choose.onclick = () => onselect(this);
    remove.ariaLabel = `Stop listening to ${name}`;
    remove.onclick = () => onremove(this);
    this.row = element("li");
    this.row.append(choose, element("span", "trouble"), element("span", "tally"), remove);
    this.option = new Option(name);
    $("channels").append(this.row);
    $("target").append(this.option);
    this.#draw();
  }

  // join listens over a connection, behind what was heard over the one before.
  join(pregon) {
    if (this.#began && !this.#last) this.#miss("the connection was made anew, and there is no history");
    this.#began = false;
    this.#set("connecting");
    this.members = null;
    this.pregon = pregon;
    const sub = access.member();
    this.room = pregon.channel(this.name, {
      ...(this.#last && { since: this.#last }),
      ...(this.#presence && { presence: true }),
      ...(sub && { member: { sub } }),
    });
    this.room
      .on("message", m => this.#hear(m))
      .on("gap", g => this.#miss(reasons[g.reason] ?? g.reason))
      .on("members", members => { this.members = members; this.changed(); })
      .on("state", s => this.#follow(s));
  }

  #hear(m) {
    if (m.id) this.#last = m.id;
    this.#heard++;
    meter.heard(m);
    log.message(m);
    this.changed();
  }

  #miss(why) {
    this.#missed = true;
    log.note(`Messages may be missing on ${this.name}: ${why}.`, true);
  }

  // follow goes along with the state of the room. Whether something was missed while the
  // connection was lost is told together with the state, or else nothing was.
  #follow({ state, reason }) {
    if (state === "closed" && reason) return this.#refused(reason);
    const back = state === "open" && this.state === "reconnecting";
    this.#missed = false;
    this.#began ||= state === "open";
    if (back) queueMicrotask(() => this.#missed || log.note(`Nothing is missing on ${this.name}: what was published meanwhile follows.`));
    this.#set(state);
  }

  // refused is told that the server does not let this page listen. Where only its members are
  // not known it goes on without them.
  #refused({ code, status, message }) {
    if (code === "no_presence" && this.#presence) {
      this.#presence = false;
      this.join(this.pregon);
      return;
    }
    const why = access.explained({ status, detail: message });
    log.note(`Not listening to ${this.name}: ${why}`, true);
    this.#set("refused", why);
  }

  // isOpen says that the channel can be published to over the connection.
  get isOpen() { return this.state !== "refused"; }

  // publish publishes there, and returns the receipt.
  async publish(data) {
    try {
      return await this.room.publish(data);
    } catch (problem) {
      throw new Error(access.explained({ status: problem.status, detail: problem.message }), { cause: problem });
    }
  }

  #set(state, why = "") {
    Object.assign(this, { state, why });
    this.changed();
  }

  get hasPresence() { return this.#presence; }

  #draw() {
    const [, trouble, tally] = this.row.children;
    this.row.dataset.state = this.state;
    write(trouble, this.state === "open" ? "" : this.state);
    write(tally, this.#heard ? this.#heard.toLocaleString("en") : "");
  }

  select(chosen) { this.row.firstElementChild.ariaPressed = chosen; }

  remove() {
    this.room.close();
    this.row.remove();
    this.option.remove();
  }
}
