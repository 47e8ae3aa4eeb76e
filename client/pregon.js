// The client of pregon: channels over one connection, for pages and programs. README.md says how to use it, and
// pregon.d.ts all that it has. What begins with _ is the client's own.
//
// A Client has one Link at a time: a Socket, which is a WebSocket to /live, or a Stream, which fetch reads from
// /sse. A Link tells what it hears, and ends once. Then the Client makes another one, and each Room, which is a
// channel, goes on from its cursor.

const UNREAD = 1000 // messages and gaps that may wait for a "for await"
const UNANSWERED = 1000 // publications that may be under way
const PATIENCE = 15_000 // ms for a link to open, or for a publication by POST
const PROOF = 4000 // ms for a link to prove that it is alive
const PING = 25 // s, where the server does not say
const STEADY = 10_000 // ms after which a link has proved to last
const FIRST_WAIT = 500, LONGEST_WAIT = 30_000 // ms: the bounds of the back-off, doubled each time
const LIMITED_WAIT = 10 // s, after close code 4010
const TRIES = 5 // of a publication with a key that the server cannot do now
const LONGEST_TIMER = 2 ** 31 - 1 // ms
const FINAL = [1002, 1003, 1007, 1008, 1009] // close codes after which a client does not come back, nor after 4100 to 4199

export class PregonError extends Error {
  name = "PregonError"

  constructor(code, message, more) {
    super(message)
    Object.assign(this, more, { code })
  }
}

const problem = (code, message, more) => new PregonError(code, message, more)
const lost = cause => problem("connection_lost", "The connection was lost.", { cause })
const offline = () => problem("offline", "Nothing was sent: there is no connection.")
const closed = () => problem("closed", "It was closed.")
const unreachable = cause => problem("unreachable", "The server does not answer.", { cause })
const unknown = cause => problem("outcome_unknown", "This may have been published, or not.", { cause })
const told = ({ type, ref, code, detail, ...more }) => problem(code, detail, more)

// refusal is what an answer over HTTP says that is no success: with the code http where it is not the server's own.
async function refusal(answer) {
  const { status, headers } = answer
  const said = await answer.json().catch(() => {})
  return told({ code: "http", detail: "The HTTP status is " + status, ...said, status, retry: +headers.get("Retry-After") || undefined })
}

const toBase64 = bytes => btoa(Array.from(bytes, b => String.fromCharCode(b)).join(""))
const toBase64URL = bytes => toBase64(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "")
const fromBase64 = text => Uint8Array.from(atob(text), c => c.charCodeAt(0))

// bytesOf returns the bytes of a value that is some.
const bytesOf = value => ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  : value instanceof ArrayBuffer && new Uint8Array(value)

// An Emitter has listeners. Where one throws, that is reported as the page's own fault and stops nothing here.
class Emitter {
  _listeners = {}

  constructor(...events) {
    for (const event of events) this._listeners[event] = new Set()
  }

  on(event, listener, { signal } = {}) {
    const all = this._listeners[event]
    if (!all) throw new TypeError(`There is no event "${event}".`)
    if (!signal?.aborted) all.add(listener)
    signal?.addEventListener("abort", () => all.delete(listener))
    return this
  }

  _emit(event, what) {
    for (const listener of [...this._listeners[event]]) {
      try {
        listener(what)
      } catch (error) {
        queueMicrotask(() => { throw error })
      }
    }
  }

  _be(state, reason, wait) {
    this.state = state
    this.reason = reason
    this._emit("state", { state, reason, wait })
  }
}

class Message {
  constructor({ encoding, data, ...frame }) {
    Object.assign(this, frame, { data: encoding ? fromBase64(data) : data })
  }

  json() {
    return JSON.parse(typeof this.data === "string" ? this.data : new TextDecoder().decode(this.data))
  }
}

// A Room is a channel.
class Room extends Emitter {
  state = "connecting"
  members = Object.assign([], { count: 0, complete: false })
  _users = 0
  _begun = false // it was subscribed once
  _heard = false // it is subscribed now
  _people = new Map()
  _pages = []
  _unclaimed = [] // what comes before anything listens
  _queues = new Set([this._unclaimed])

  constructor(client, channel, { since, ...wish }) {
    super("message", "gap", "members", "error", "state")
    this._client = client
    this.channel = channel
    this.id = since
    this._wish = wish
  }

  on(event, listener, options) {
    super.on(event, listener, options)
    if (event === "message") this._claim()
    return this
  }

  // _claim returns what came before anything listened.
  _claim() {
    const queue = this._unclaimed || []
    this._unclaimed = undefined
    this._queues.delete(queue)
    return queue
  }

  async *[Symbol.asyncIterator]() {
    const queue = this._claim()
    this._queues.add(queue)
    try {
      for (;;) {
        while (queue.length && !this._left) yield queue.shift()
        if (this._left) return
        if (this.state === "closed") throw this.reason
        await new Promise(wake => queue.wake = wake)
      }
    } finally {
      this._queues.delete(queue)
    }
  }

  async publish(value, { key } = {}) {
    if (this._left) throw closed()
    const bytes = bytesOf(value)
    const command = { channel: this.channel, data: bytes ? toBase64(bytes) : JSON.parse(JSON.stringify(value)), key }
    if (bytes) command.encoding = "base64"
    // Where there is a history, a key makes it safe to publish again.
    if (this._begun && this.id) command.key ??= toBase64URL(crypto.getRandomValues(new Uint8Array(16)))
    return new Promise((resolve, reject) => this._client._publish(command, resolve, reject))
  }

  close() {
    if (--this._users || this.state === "closed") return
    this._client._rooms.delete(this.channel)
    this._client._link?.unsubscribe(this)
    this._end()
  }

  _end(reason) {
    this._left = !reason
    if (reason) this._emit("error", reason)
    this._be("closed", reason)
    for (const queue of this._queues) queue.wake?.()
  }

  // _ask returns what the room wants of the server.
  _ask() {
    const { history, ...wish } = this._wish
    return { channel: this.channel, ...wish, ...this.id ? { since: this.id } : !this._begun && { history } }
  }

  _lost() {
    this._stay = undefined
    this._heard = false
    if (this._begun) this._be("reconnecting")
  }

  // _hear takes a frame. What comes ahead of subscribed is of an earlier stay in the channel.
  _hear(frame) {
    const { type } = frame
    if (type === "subscribed") this._subscribed(frame)
    else if (!this._heard) return
    else if (type === "message") {
      this.id = frame.id || this.id
      this._tell(type, new Message(frame))
    } else if (type === "gap") this._tell(type, frame)
    else if (type === "members") this._page(frame)
    else if (type === "presence") this._change(frame)
    else if (type === "unsubscribed") this._refused(told(frame))
  }

  _tell(type, item) {
    this._emit(type, item)
    for (const queue of this._queues) {
      if (queue.push(item) > UNREAD) queue.splice(0, 2, { type: "gap", channel: this.channel, reason: "slow-consumer" })
      queue.wake?.()
    }
  }

  _subscribed({ ref, id, recovered }) {
    if (ref !== this._stay) return
    const from = this.id
    const reason = this._forgot || recovered === false ? "not-recovered" : this._begun && !recovered && "reconnected"
    this.id = id
    this._begun = this._heard = true
    this._forgot = false
    this._pages = []
    this._be("open")
    if (reason) this._tell("gap", { type: "gap", channel: this.channel, reason, from })
  }

  // _refused: the server has ended the stay, or not let it begin. A cursor that it cannot read is given up.
  _refused(error) {
    const link = this._client._link
    this._heard = false
    if (this.state === "closed") return
    if (error.code === "bad_cursor" && this.id) {
      this.id = undefined
      this._forgot = true
      link.subscribe(this)
    } else if (error.retry) {
      this._emit("error", error)
      setTimeout(() => link._over || this.state === "closed" || link.subscribe(this), error.retry * 1000 * (1 + Math.random()))
    } else {
      this._client._rooms.delete(this.channel)
      this._end(error)
    }
  }

  // _page: the list is replaced when all pages have come.
  _page({ members, more, count, complete = true }) {
    this._pages.push(...members)
    if (more) return
    this._people = new Map(this._pages.map(m => [m.sub, m]))
    this._pages = []
    this._list(count, complete)
  }

  // _change: of very many members only the count is told.
  _change({ joined = [], left = [], count }) {
    if (count !== undefined) this._people.clear()
    for (const m of joined) this._people.set(m.sub, m)
    for (const sub of left) this._people.delete(sub)
    this._list(count ?? this._people.size, this.members.complete)
  }

  _list(count, complete) {
    this.members = Object.assign([...this._people.values()], { count, complete })
    this._emit("members", this.members)
  }
}

// A Link is one connection, or an attempt at it.
class Link {
  _jobs = new Map() // publications that are not answered, and what else is asked, by ref

  constructor(client) {
    this.client = client
    this._deadline = setTimeout(() => this.end(unreachable()), PATIENCE)
    client._token().then(token => {
      this.token = token
      if (!this._over) return this.open()
    }).catch(error => this.end(error instanceof PregonError ? error : unreachable(error)))
  }

  // opened watches for silence. It counts ticks, not time, as a tab that sleeps misses both; a tick that is late may
  // be the first after a sleep.
  opened(ping, frame) {
    clearTimeout(this._deadline)
    const pause = ping * 500
    let last = this.began = Date.now()
    this.quiet = 0
    this._ticker = setInterval(() => {
      const late = Date.now() - last > 2 * pause
      last = Date.now()
      if (++this.quiet > 4) this.silent()
      else if (late) this.check()
    }, pause)
    this.client._opened(this, frame)
  }

  silent() {
    this.end(problem("silent", "The server was silent."))
  }

  end(error, code) {
    if (this._over) return
    this._over = true
    for (const timer of [this._deadline, this._proof, this._renewal, this._ticker]) clearTimeout(timer)
    this._abort?.abort()
    this.close()
    this.client._ended(this, error, code)
  }

  request(path, body, signal) {
    const { token, client } = this
    const headers = {}
    if (token) headers.Authorization = "Bearer " + token
    if (body) headers["Content-Type"] = "application/json"
    return fetch(client._at(path), {
      method: body ? "POST" : "GET", body: JSON.stringify(body), headers,
      credentials: client._options.credentials, signal: signal || (this._abort = new AbortController()).signal,
    })
  }
}

// A Socket speaks the protocol of /live.
class Socket extends Link {
  _ref = 0

  open() {
    const { client, token } = this
    const protocols = ["pregon.v1"]
    if (token) protocols.push("pregon.bearer." + toBase64URL(new TextEncoder().encode(token)))
    this.socket = new client._options.WebSocket(client._at("live").replace("http", "ws"), protocols)
    this.socket.onmessage = ({ data }) => this._over || this.hear(JSON.parse(data))
    this.socket.onerror = () => {} // onclose follows
    this.socket.onclose = ({ code, reason }) => this.closed(code, reason)
  }

  // closed: why a handshake has failed only a plain request can see.
  async closed(code, reason) {
    let error = this.error || problem(reason || "connection_lost", "The connection was closed: " + code)
    if (!this.began && !this.error && !this._over) {
      const answer = await this.request("live").catch(() => {})
      error = !answer ? unreachable() : answer.status !== 400 ? await refusal(answer)
        : problem("no_websocket", "The server answers, but no WebSocket opens.")
    }
    this.end(error, code)
  }

  close() {
    this.socket?.close()
  }

  say(command, job) {
    const ref = ++this._ref
    if (job) this._jobs.set(ref, job)
    this.socket.send(JSON.stringify({ ...command, ref }))
    return ref
  }

  subscribe(room) {
    if (this.began) room._stay = this.say({ type: "subscribe", ...room._ask() }, { reject: error => room._refused(error) })
  }

  unsubscribe({ channel }) {
    if (this.began) this.say({ type: "unsubscribe", channel })
  }

  publish(job) {
    this.say({ type: "publish", ...job.command }, job)
  }

  // check asks for an answer, if only the one that there is no such command: the protocol has none for this.
  check() {
    if (this._checking) return
    this._checking = true
    this._proof = setTimeout(() => this.silent(), PROOF)
    const alive = () => {
      clearTimeout(this._proof)
      this._checking = false
    }
    this.say({ type: "ping" }, { resolve: alive, reject: alive })
  }

  hear(frame) {
    this.quiet = 0
    const { type, ref, channel } = frame
    const job = this._jobs.get(ref)
    this._jobs.delete(ref)
    if (type === "welcome") {
      this.opened(frame.ping || PING, frame)
      this.renewIn(frame.ttl * 800)
    } else if (type === "error") {
      if (job) job.reject(told(frame))
      else if (!ref) this.error = told(frame)
    } else {
      this.client._rooms.get(channel)?._hear(frame)
      job?.resolve?.(frame)
    }
  }

  renewIn(ms) {
    if (ms >= 0 && this.client._renews) this._renewal = setTimeout(() => this.renew(ms), Math.min(ms, LONGEST_TIMER))
  }

  // renew: where it fails there is time for other tries before the server closes the connection.
  async renew(ms) {
    const again = () => { if (!this._over) this.renewIn(Math.max(1000, ms / 8)) }
    const token = await this.client._token().catch(again)
    if (this._over || token === undefined) return
    this.say({ type: "renew", token }, {
      resolve: ({ ttl }) => this.renewIn(ttl * 800),
      reject: error => error.code === "other_subject" ? this.end(lost()) : again(),
    })
  }
}

// A Stream reads POST /sse. When channels change another request takes its place; each publication is one of its own.
class Stream extends Link {
  open() {
    this.read()
  }

  close() {}

  subscribe() {
    this.change()
  }

  unsubscribe() {
    this.change()
  }

  check(sure) {
    if (sure) this.change()
  }

  change() {
    this.late = true
    if (!this.began || this._changing) return
    this._changing = true
    queueMicrotask(() => {
      this._changing = false
      if (this._over) return
      this._abort.abort()
      this.read()
    })
  }

  async read() {
    const rooms = [...this.client._rooms.values()]
    const request = rooms.length ? this.request("sse?format=json", { channels: rooms.map(room => room._ask()) }) : this.request("live")
    const { signal } = this._abort
    this.late = false
    this.quiet = 0
    try {
      const answer = await request
      if (!answer.ok && (rooms.length || answer.status !== 400)) throw await refusal(answer)
      for (const room of rooms) room._heard = false
      this.idle = !rooms.length
      if (!this.began) {
        this.opened(this.client._ping)
        if (this.late) this.change()
      }
      if (!this.idle) await this.listen(answer.body.getReader())
      if (!this.idle) throw lost()
    } catch (error) {
      if (!signal.aborted) this.failed(error, rooms)
    }
  }

  // failed: a channel that is refused does not keep the others from being heard.
  failed(error, rooms) {
    const refused = !error.retry && rooms[error.code === "too_many_channels" ? rooms.length - 1 : error.index]
    if (!refused) return this.end(error instanceof PregonError ? error : this.began ? lost(error) : unreachable(error))
    refused._refused(error)
    if (!this._changing && !this._over) this.read()
  }

  // listen: a line of data is a whole frame.
  async listen(reader) {
    const decoder = new TextDecoder()
    for (let rest = ""; ;) {
      const { done, value } = await reader.read()
      if (done) return
      this.quiet = 0
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n")
      rest = lines.pop()
      for (const line of lines) {
        if (this._over || !line.startsWith("data: ")) continue
        const frame = JSON.parse(line.slice(6))
        this.client._rooms.get(frame.channel)?._hear(frame)
      }
    }
  }

  // silent: it is not told here how often the server pings. It may be more seldom.
  silent() {
    if (this.idle) return
    this.client._ping *= 2
    super.silent()
  }

  async publish(job) {
    try {
      const answer = await this.request("publish", job.command, AbortSignal.timeout(PATIENCE))
      if (!answer.ok) throw await refusal(answer)
      job.resolve((await answer.json()).receipts[0])
    } catch (error) {
      job.reject(error instanceof PregonError ? error : unknown(error))
    }
  }
}

class Client extends Emitter {
  state = "connecting"
  _rooms = new Map()
  _waiting = [] // publications, until a link is open
  _publishing = 0
  _misses = 0 // attempts in a row without a welcome
  _tries = 0 // how often it came back, since a link has lasted
  _ping = PING
  _life = new AbortController()

  constructor(url, options) {
    super("state")
    const base = this._base = new URL(url, globalThis.location?.href)
    if (!/^(http|ws)s?:$/.test(base.protocol)) throw new TypeError("The address begins with https:// or http://.")
    base.protocol = base.protocol.replace("ws", "http")
    base.pathname = base.pathname.replace(/\/?$/, "/")
    this._options = { WebSocket: globalThis.WebSocket, ...options }
    this._renews = typeof this._options.token === "function"
    if (!this._options.WebSocket) {
      this.reason = this._why = problem("no_websocket", "There is no WebSocket here. In Node 20 give connect that of the package ws.")
    }
    this._watch()
    this._try()
  }

  channel(name, options = {}) {
    if (this.state === "closed") throw closed()
    let room = this._rooms.get(name)
    if (!room) {
      this._rooms.set(name, room = new Room(this, name, options))
      this._link?.subscribe(room)
    }
    room._users++
    return room
  }

  close() {
    this._close()
  }

  _at(path) {
    return new URL(path, this._base).href
  }

  // _token returns the token to come with now.
  async _token() {
    const { token } = this._options
    try {
      return this._renews ? await token() : token
    } catch (cause) {
      throw problem("no_token", "The function token has failed.", { cause })
    }
  }

  // _watch: what tells of a network that has changed, or of a page that was asleep, is a reason to look.
  _watch() {
    const look = sure => {
      if (this._link?.began) this._link.check(sure)
      else if (!this._link && !this._asked) this._try()
    }
    const events = {
      online: () => look(true),
      offline: () => this._link?.end(problem("offline", "The network is gone.")),
      pageshow: event => event.persisted && look(true),
      visibilitychange: () => document.visibilityState === "visible" && look(),
    }
    for (const name in events) globalThis.addEventListener?.(name, events[name], { signal: this._life.signal })
  }

  _try() {
    clearTimeout(this._timer)
    const { WebSocket } = this._options
    this._streams = !WebSocket || this._misses > 1 && !this._streams
    this._link = new (this._streams ? Stream : Socket)(this)
  }

  _opened(link, { session, sub } = {}) {
    Object.assign(this, { session, sub })
    this._known = true
    if (!this._streams) {
      this._misses = 0
      for (const room of this._rooms.values()) link.subscribe(room)
    }
    for (const job of this._waiting.splice(0)) {
      job.sent = true
      link.publish(job)
    }
    this._be("open", this._streams ? this._why : undefined)
  }

  _ended(link, error, code) {
    this._link = undefined
    this._waiting.unshift(...[...link._jobs.values()].filter(job => job.command))
    if (this.state === "closed") return
    if (this._isFinal(error, code)) return this._close(error)
    if (Date.now() - link.began > STEADY) this._tries = 0
    for (const room of this._rooms.values()) room._lost()
    this._waiting = this._waiting.filter(job => job.sent && job.command.key || this._fail(job, offline()))
    const isOff = globalThis.navigator?.onLine === false
    const wait = isOff ? undefined : this._wait(link, error, code)
    this._be("reconnecting", error, wait)
  }

  // _wait has the client try again, in the time that it returns, in s: back-off with full jitter. The server may ask for more.
  _wait(link, error, code) {
    if (!link.began) this._misses++
    if (!link.began && !this._streams) this._why = error
    const asked = 1000 * (code === 4010 ? LIMITED_WAIT : error.retry || 0)
    const wait = asked + Math.random() * Math.max(asked, Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this._tries++))
    this._asked = asked > 0
    this._timer = setTimeout(() => this._try(), wait)
    return wait / 1000
  }

  // _isFinal: coming back would be the same again. A new token may help, where there can be one.
  _isFinal({ status, code: name }, code) {
    if (FINAL.includes(code) || code >= 4100 && code < 4200) return true
    const isExpired = code === 4009 || status === 401
    return name !== "http" && (status === 403 || isExpired && !this._renews && (this._options.token || !this._known))
  }

  _close(reason) {
    if (this.state === "closed") return
    this.state = "closed"
    clearTimeout(this._timer)
    this._life.abort()
    this._link?.end()
    for (const job of this._waiting.splice(0)) this._fail(job, closed())
    for (const room of this._rooms.values()) room._end(reason)
    this._rooms.clear()
    this._be("closed", reason)
  }

  // _publish: what has a key is published again where it is not known whether it was, or the server cannot do it now.
  _publish(command, resolve, reject) {
    if (this._publishing === UNANSWERED) return reject(problem("too_fast", "Too many publications are not answered.", { status: 429 }))
    let tries = 0
    this._publishing++
    const job = {
      command,
      resolve: ({ type, ref, ...receipt }) => {
        this._publishing--
        resolve(receipt)
      },
      reject: error => {
        const isTransient = error.status > 500 ? tries++ < TRIES : error.code === "outcome_unknown"
        if (command.key && isTransient && this.state !== "closed") {
          setTimeout(() => this._send(job), (error.retry || 1) * 1000 * (1 + Math.random()))
        } else {
          this._publishing--
          reject(error)
        }
      },
    }
    this._send(job)
  }

  _send(job) {
    if (this.state === "closed") this._fail(job, closed())
    else if (this.state === "open") {
      job.sent = true
      this._link.publish(job)
    } else if (job.sent || this.state === "connecting") this._waiting.push(job)
    else this._fail(job, offline())
  }

  _fail(job, error) {
    job.reject(job.sent ? unknown() : error)
  }
}

/** connect connects to a server: by default the one that this module was loaded from. */
export function connect(url = new URL(".", import.meta.url), options = {}) {
  return new Client(url, options)
}
