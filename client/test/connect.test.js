import assert from "node:assert/strict"
import { test } from "node:test"
import { connect } from "../pregon.js"
import { message, pass, record, settle, start } from "./fake.js"

test("the address may have a path, and is no other than http and ws", async t => {
  const s = start(t)
  await settle()
  assert.equal(s.socket.url, "wss://rt.example.com/rt/live")
  assert.deepEqual(s.socket.protocols, ["pregon.v1"])
  for (const url of ["ftp://a", "data:,x", "nonsense"]) assert.throws(() => connect(url), TypeError, url)
  assert.throws(() => connect(), /https:\/\//, "a file is no server")
})

test("a token goes into a subprotocol, as base64url without padding", async t => {
  const s = start(t, { token: async () => "a?ü~" })
  await settle()
  assert.deepEqual(s.socket.protocols, ["pregon.v1", "pregon.bearer.YT_DvH4"])
})

test("the first subscribed and all that follows", async t => {
  const s = start(t)
  const room = s.pregon.channel("a", { history: 2, presence: true, member: { sub: "ana" } })
  const heard = record(room)
  const socket = await s.opened({ sub: "u1" })
  assert.deepEqual(s.states, [["open", undefined, undefined]])
  assert.deepEqual([s.pregon.session, s.pregon.sub], ["s1", "u1"])
  assert.deepEqual(socket.sent, [{ type: "subscribe", ref: 1, channel: "a", history: 2, presence: true, member: { sub: "ana" } }])
  socket.subscribed({ id: "c0" })
  socket.hear(message("a", "one", "c1", { by: { sub: "u2" } }), message("b", "another's"), { type: "ping" }, { type: "of the future", channel: "a" })
  assert.deepEqual(heard, ["open", "one"])
  assert.equal(room.id, "c1")
})

test("what is heard is text, bytes and JSON", async t => {
  const s = start(t)
  const room = s.pregon.channel("a")
  const heard = []
  room.on("message", m => heard.push(m))
  const socket = await s.opened()
  socket.subscribed()
  socket.hear(message("a", '{"a":1}'), message("a", "eyJhIjoyfQ==", "c1", { encoding: "base64", by: { session: "s" } }))
  const [text, bytes] = heard
  assert.deepEqual([text.data, text.json()], ['{"a":1}', { a: 1 }])
  assert.deepEqual([bytes.data, bytes.json()], [new TextEncoder().encode('{"a":2}'), { a: 2 }])
  assert.deepEqual({ ...bytes, data: 0 }, { type: "message", channel: "a", data: 0, id: "c1", by: { session: "s" } })
})

test("a channel again is the same one, and the last close ends it", async t => {
  const s = start(t)
  const room = s.pregon.channel("a")
  assert.equal(s.pregon.channel("a"), room)
  const socket = await s.opened()
  socket.subscribed()
  room.close()
  assert.equal(room.state, "open")
  room.close()
  room.close()
  assert.equal(room.state, "closed")
  assert.deepEqual(socket.sent.map(command => command.type), ["subscribe", "unsubscribe"])
  assert.notEqual(s.pregon.channel("a"), room)
})

test("what comes ahead of unsubscribed belongs to the old stay", async t => {
  const s = start(t)
  const first = s.pregon.channel("a")
  const socket = await s.opened()
  socket.subscribed()
  const old = record(first)
  first.close()
  const heard = record(s.pregon.channel("a"))
  socket.hear(message("a", "late"), { type: "unsubscribed", channel: "a", status: 403, code: "forbidden" }, { type: "unsubscribed", ref: 2, channel: "a" })
  socket.subscribed()
  socket.hear(message("a", "new"))
  assert.deepEqual([old, heard], [["closed"], ["open", "new"]])
})

test("subscribed of a stay that was given up is not taken for that of the next one", async t => {
  const s = start(t)
  s.pregon.channel("a").close()
  const first = s.pregon.channel("a")
  const socket = await s.opened()
  first.close()
  const heard = record(s.pregon.channel("a"))
  socket.hear({ type: "subscribed", ref: 1, channel: "a", id: "c0" }, message("a", "late", "c1"), { type: "unsubscribed", ref: 2, channel: "a" })
  assert.deepEqual(heard, [])
  socket.subscribed({ id: "c1" })
  socket.hear(message("a", "new", "c2"))
  assert.deepEqual(heard, ["open", "new"])
})

test("the end of a channel by the server, or a refusal, ends it alone", async t => {
  const s = start(t)
  const [ended, refused, other] = ["a", "b//c", "d"].map(name => s.pregon.channel(name))
  const heard = [ended, refused, other].map(record)
  const socket = await s.opened()
  socket.hear({ type: "subscribed", ref: 1, channel: "a" }, { type: "error", ref: 2, status: 400, code: "bad_channel", detail: "No name." }, { type: "subscribed", ref: 3, channel: "d" })
  socket.hear({ type: "unsubscribed", channel: "a", status: 403, code: "forbidden", detail: "Not any more." }, message("a", "late"), message("d", "heard"))
  assert.deepEqual(heard, [["open", "error forbidden", "closed"], ["error bad_channel", "closed"], ["open", "heard"]])
  assert.deepEqual([refused.reason.name, refused.reason.message, refused.reason.status], ["PregonError", "No name.", 400])
  socket.end(1001)
  await pass(1)
  await s.opened()
  assert.deepEqual(s.socket.sent.map(command => command.channel), ["d"])
})

test("a refusal with retry is asked again", async t => {
  const s = start(t)
  const heard = record(s.pregon.channel("a"))
  const socket = await s.opened()
  socket.hear({ type: "error", ref: 1, channel: "a", status: 503, code: "not_subscribed", detail: "", retry: 2 })
  assert.deepEqual(heard, ["error not_subscribed"])
  await pass(2.9)
  assert.equal(socket.sent.length, 1)
  await pass(0.2)
  assert.deepEqual(socket.sent[1], { type: "subscribe", ref: 2, channel: "a" })
})

test("close ends everything, for good", async t => {
  const s = start(t)
  const room = s.pregon.channel("a")
  const heard = record(room)
  const socket = await s.opened()
  socket.subscribed()
  s.pregon.close()
  s.pregon.close()
  socket.hear(message("a", "late"))
  assert.ok(socket.closed)
  assert.deepEqual(heard, ["open", "closed"])
  assert.deepEqual(s.states.at(-1), ["closed", undefined, undefined])
  assert.throws(() => s.pregon.channel("a"), { code: "closed" })
  await assert.rejects(room.publish("x"), { code: "closed" })
  await pass(100)
  assert.equal(s.sockets.length, 1)
})

test("a client that is closed at once opens nothing", async t => {
  const s = start(t)
  s.pregon.close()
  await pass(100)
  assert.deepEqual([s.sockets.length, s.requests.length], [0, 0])
})
