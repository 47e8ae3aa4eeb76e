// A server that a test plays: sockets and answers to fetch that do what they are told, and time that stands still.
import { mock } from "node:test"
import { connect } from "../pregon.js"

export const settle = () => new Promise(resolve => setImmediate(resolve))

/** pass lets time pass, and what then is to be done be done. */
export async function pass(seconds) {
  await settle()
  mock.timers.tick(seconds * 1000)
  await settle()
}

/** A FakeSocket is a WebSocket; what the server does to it has names of its own. */
export class FakeSocket {
  sent = []

  constructor(url, protocols) {
    Object.assign(this, { url, protocols })
    FakeSocket.all.push(this)
  }

  send(text) {
    this.sent.push(JSON.parse(text))
  }

  close() {
    this.closed = true
  }

  hear(...frames) {
    for (const frame of frames) this.onmessage({ data: JSON.stringify(frame) })
  }

  welcome(more) {
    this.hear({ type: "welcome", session: "s1", ping: 25, limits: { message: 1000 }, ...more })
  }

  end(code = 1006, reason = "") {
    this.onclose({ code, reason })
  }

  /** last is the last command of a type, without the type. */
  last(type) {
    const { type: _, ...rest } = this.sent.findLast(command => command.type === type) ?? {}
    return rest
  }

  /** subscribed answers the last subscribe. */
  subscribed(more) {
    const { ref, channel } = this.last("subscribe")
    this.hear({ type: "subscribed", ref, channel, ...more })
  }
}

/** A Request is one by fetch, until it is answered. */
class Request {
  constructor(url, { method, body, headers, signal }) {
    Object.assign(this, { path: new URL(url).pathname + new URL(url).search, method, headers, signal, body: body && JSON.parse(body) })
    this.promise = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }))
    signal?.addEventListener("abort", () => this.abort(signal.reason))
  }

  abort(reason) {
    this.reject(reason)
    this.stream?.error(reason)
    this.stream = undefined
  }

  fail() {
    this.reject(new TypeError("fetch failed"))
  }

  problem(status, code, more, headers) {
    this.resolve(Response.json({ status, code, detail: code, ...more }, { status, headers }))
  }

  /** open answers with a stream, to which hear and end then belong. */
  open() {
    this.resolve(new Response(new ReadableStream({ start: controller => { this.stream = controller } })))
  }

  write(text) {
    this.stream.enqueue(new TextEncoder().encode(text))
  }

  hear(...frames) {
    for (const frame of frames) this.write(`event: ${frame.type}\ndata: ${JSON.stringify(frame)}\n\n`)
  }

  end() {
    this.stream.error(new TypeError("terminated"))
  }
}

/**
 * start stops the time and makes a client, with a server that does nothing by itself. Math.random is
 * 0.5, so the first wait is 0.25 s.
 */
export function start(t, options = {}) {
  FakeSocket.all = []
  const requests = []
  mock.timers.reset()
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1e12 })
  t.mock.method(Math, "random", () => 0.5)
  t.mock.method(globalThis, "fetch", (url, init) => {
    requests.push(new Request(url, init))
    return requests.at(-1).promise
  })
  const page = new EventTarget()
  globalThis.addEventListener = page.addEventListener.bind(page)
  Object.defineProperty(globalThis, "navigator", { value: { onLine: true }, configurable: true, writable: true })
  globalThis.document = { visibilityState: "visible" }
  const pregon = connect("https://rt.example.com/rt", { WebSocket: FakeSocket, ...options })
  const states = []
  pregon.on("state", ({ state, reason, wait }) => states.push([state, reason?.code, wait]))
  t.after(() => {
    pregon.close()
    mock.timers.reset()
    delete globalThis.addEventListener
    delete globalThis.document
  })
  return {
    pregon, states, requests, page,
    get socket() { return FakeSocket.all.at(-1) },
    get sockets() { return FakeSocket.all },
    get request() { return requests.at(-1) },
    /** opened is the socket behind its welcome. */
    async opened(more) {
      await settle()
      this.socket.welcome(more)
      return this.socket
    },
    /** missed fails so many attempts by WebSocket, and has the waits pass. */
    async missed(times) {
      for (let i = 0; i < times; i++) {
        await settle()
        this.socket.end()
        await settle()
        this.request.problem(400, "bad_handshake")
        await pass(40)
      }
    },
    tell(name, more = {}) {
      page.dispatchEvent(Object.assign(new Event(name), more))
    },
  }
}

/** record keeps what a room tells. */
export function record(room) {
  const heard = []
  room.on("message", m => heard.push(m.data))
  room.on("gap", g => heard.push("gap " + g.reason))
  room.on("error", e => heard.push("error " + e.code))
  room.on("state", s => heard.push(s.state))
  return heard
}

export const message = (channel, data, id, more) => ({ type: "message", channel, data, id, ...more })
