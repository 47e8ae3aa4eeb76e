// A client as the page sees it, which tests drive through window.fake.
class Source {
  #listeners = {};

  on(type, listener) {
    (this.#listeners[type] ??= []).push(listener);
    return this;
  }

  emit(type, event) {
    for (const listener of this.#listeners[type] ?? []) listener(event);
  }
}

class Room extends Source {
  constructor(name, options) {
    super();
    Object.assign(this, { name, options, published: [] });
  }

  // hear is as if the room heard a text.
  hear(data, more = {}) { this.emit("message", { channel: this.name, data, ...more }); }

  // publish is answered as the tests have said, or else with a receipt.
  async publish(data) {
    this.published.push(data);
    if (this.failure) throw Object.assign(new Error(this.failure), { code: "forbidden" });
    this.hear(data);
    return { channel: this.name, id: "cursor" };
  }

  // end is as if the server did not let the room be.
  end(reason) { this.emit("state", { state: "closed", reason }); }

  close() { this.closed = true; }
}

export function connect(url, options) {
  const pregon = new Source();
  const rooms = {};
  pregon.channel = (name, options) => rooms[name] = new Room(name, options);
  pregon.close = () => { pregon.closed = true; };
  const { connections = [] } = globalThis.fake ?? {};
  connections.push(pregon);
  globalThis.fake = { url, options, pregon, rooms, connections };
  return pregon;
}
