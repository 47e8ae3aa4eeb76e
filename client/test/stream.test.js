import assert from "node:assert/strict"
import { test } from "node:test"
import { message, pass, record, settle, start } from "./fake.js"

// streaming starts a client without a WebSocket whose channels are subscribed.
async function streaming(t, channels, options) {
  const s = start(t, { WebSocket: undefined, ...options })
  const rooms = channels.map(name => s.pregon.channel(name))
  const heard = rooms.map(record)
  await settle()
  s.request.open()
  for (const name of channels) s.request.hear({ type: "subscribed", channel: name, id: name + "0" })
  await settle()
  return { s, rooms, heard }
}

test("after two attempts without a welcome it takes turns with a stream", async t => {
  const s = start(t, { token: () => "t" })
  const room = s.pregon.channel("a", { history: 5, presence: true })
  const heard = record(room)
  for (const n of [1, 2]) {
    await settle()
    assert.equal(s.sockets.length, n)
    s.socket.end()
    await settle()
    assert.deepEqual([s.request.method, s.request.path], ["GET", "/rt/live"])
    s.request.problem(400, "bad_handshake")
    await pass(1)
  }
  assert.deepEqual(s.states.map(([, code]) => code), ["no_websocket", "no_websocket"])
  const { method, path, headers, body } = s.request
  assert.deepEqual([method, path, body], ["POST", "/rt/sse?format=json", { channels: [{ channel: "a", history: 5, presence: true }] }])
  assert.deepEqual(headers, { Authorization: "Bearer t", "Content-Type": "application/json" })
  s.request.open()
  s.request.write("retry: 1000\n:\n")
  s.request.hear({ type: "subscribed", channel: "a", id: "c0" }, message("a", "one", "c1"), { type: "members", channel: "a", count: 1, members: [{ sub: "u" }] })
  await settle()
  assert.deepEqual([heard, room.members.count], [["open", "one"], 1])
  assert.deepEqual(s.states.at(-1), ["open", "no_websocket", undefined])
  s.request.end()
  await pass(40)
  assert.equal(s.sockets.length, 3, "a WebSocket has its turn")
  s.socket.end()
  await settle()
  s.request.problem(400, "bad_handshake")
  await pass(40)
  assert.deepEqual(s.request.body, { channels: [{ channel: "a", presence: true, since: "c1" }] })
  s.request.problem(503, "draining", {}, { "Retry-After": "1" })
  await pass(40)
  await s.opened()
  assert.deepEqual(s.states.at(-1), ["open", undefined, undefined])
  s.socket.end()
  await pass(40)
  assert.equal(s.sockets.length, 5, "a welcome makes up for all misses")
})

for (const [name, answer, state, code, wait] of [
  ["403 is the end", r => r.problem(403, "origin_not_allowed"), "closed", "origin_not_allowed"],
  ["401 without a function", r => r.problem(401, "unauthorized"), "closed", "unauthorized"],
  ["429 has it wait", r => r.problem(429, "too_many_connections", {}, { "Retry-After": "10" }), "reconnecting", "too_many_connections", 15],
  ["503 has it wait", r => r.problem(503, "draining", {}, { "Retry-After": "2" }), "reconnecting", "draining", 3],
  ["an answer that is not the server's", r => r.resolve(new Response("<html>", { status: 403 })), "reconnecting", "http", 0.25],
  ["no answer", r => r.fail(), "reconnecting", "unreachable", 0.25],
]) {
  test(`why a handshake has failed only a plain request can see: ${name}`, async t => {
    const s = start(t)
    await settle()
    s.socket.end()
    await settle()
    answer(s.request)
    await settle()
    assert.deepEqual(s.states, [[state, code, wait]])
  })
}

test("frames come in any pieces", async t => {
  const { s, heard } = await streaming(t, ["a"])
  const bytes = new TextEncoder().encode(`id: x\ndata: ${JSON.stringify(message("a", "¡Año ", "a1"))}\n\n: comment\n`)
  for (const byte of bytes) s.request.stream.enqueue(Uint8Array.of(byte))
  await settle()
  assert.deepEqual(heard, [["open", "¡Año "]])
})

test("a change of channels is another stream, one for many, from the cursors", async t => {
  const { s, rooms: [a, b], heard } = await streaming(t, ["a", "b"])
  const first = s.request
  first.hear(message("a", "one", "a1"))
  await settle()
  const c = record(s.pregon.channel("c", { history: 1 }))
  s.pregon.channel("d")
  b.close()
  await settle()
  assert.ok(first.signal.aborted)
  assert.equal(s.requests.length, 2)
  assert.deepEqual(s.request.body.channels, [{ channel: "a", since: "a1" }, { channel: "c", history: 1 }, { channel: "d" }])
  s.request.open()
  s.request.hear({ type: "subscribed", channel: "a", id: "a1", recovered: true }, { type: "subscribed", channel: "c" }, message("a", "two", "a2"))
  await settle()
  assert.deepEqual([heard[0], c, s.states.length], [["open", "one", "open", "two"], ["open"], 1])
})

test("channels that come and go while the first stream opens are not forgotten", async t => {
  const s = start(t, { WebSocket: undefined })
  const a = s.pregon.channel("a")
  await settle()
  s.pregon.channel("b")
  a.close()
  s.request.open()
  await settle()
  assert.deepEqual(s.request.body.channels, [{ channel: "b" }])
})

test("a channel that is refused, or too many, does not keep the others from being heard", async t => {
  const s = start(t, { WebSocket: undefined })
  const names = ["a", "b//c", "d", "e", "f"]
  const rooms = names.map(name => s.pregon.channel(name, name === "d" ? { since: "broken" } : {}))
  const heard = rooms.map(record)
  await settle()
  s.request.problem(400, "bad_channel", { index: 1 })
  await settle()
  s.request.problem(400, "bad_cursor", { index: 1 })
  await settle()
  s.request.problem(403, "forbidden", { index: 2 })
  await settle()
  s.request.problem(400, "too_many_channels")
  await settle()
  assert.deepEqual(s.request.body.channels, [{ channel: "a" }, { channel: "d" }])
  s.request.open()
  s.request.hear({ type: "subscribed", channel: "a" }, { type: "subscribed", channel: "d" })
  await settle()
  assert.deepEqual(heard, [["open"], ["error bad_channel", "closed"], ["open", "gap not-recovered"], ["error forbidden", "closed"], ["error too_many_channels", "closed"]])
  assert.deepEqual(s.states, [["open", "no_websocket", undefined]])
})

test("a channel that cannot be heard now has all of them wait", async t => {
  const s = start(t, { WebSocket: undefined })
  s.pregon.channel("a")
  await settle()
  s.request.problem(503, "not_subscribed", { index: 0 }, { "Retry-After": "1" })
  await settle()
  assert.deepEqual(s.states, [["reconnecting", "not_subscribed", 1.5]])
})

for (const [status, token, state] of [[401, undefined, "closed"], [401, "t", "closed"], [401, () => "t", "reconnecting"], [403, () => "t", "closed"], [404, undefined, "reconnecting"]]) {
  test(`a stream that is answered ${status} with the token ${token}: ${state}`, async t => {
    const s = start(t, { WebSocket: undefined, token })
    s.pregon.channel("a")
    await settle()
    s.request.problem(status, "code")
    await settle()
    assert.deepEqual(s.states[0].slice(0, 2), [state, "code"])
  })
}

test("the absence of WebSocket is named, also when the stream was lost", async t => {
  const { s } = await streaming(t, ["a"])
  assert.match(s.pregon.reason.message, /WebSocket.*package ws/)
  s.request.end()
  await pass(1)
  s.request.open()
  await settle()
  assert.deepEqual(s.states.map(([state, code]) => [state, code]), [["open", "no_websocket"], ["reconnecting", "connection_lost"], ["open", "no_websocket"]])
})

test("without channels it looks whether the server is there, and publishes", async t => {
  const s = start(t, { WebSocket: undefined })
  await settle()
  assert.equal(s.request.path, "/rt/live")
  s.request.problem(400, "bad_handshake")
  await settle()
  assert.equal(s.pregon.state, "open")
  for (let i = 0; i < 20; i++) await pass(10)
  assert.equal(s.requests.length, 1, "there is nothing to be silent")
  s.pregon.channel("a")
  await settle()
  assert.equal(s.request.path, "/rt/sse?format=json")
  s.request.open()
  await pass(13)
  assert.equal(s.pregon.state, "open")
})

test("publications are requests of their own", async t => {
  const { s, rooms: [room] } = await streaming(t, ["a"], { token: "t" })
  const receipt = room.publish({ x: 1 }, { key: "k" })
  const { method, path, headers, body } = s.request
  assert.deepEqual([method, path, body], ["POST", "/rt/publish", { channel: "a", data: { x: 1 }, key: "k" }])
  assert.equal(headers.Authorization, "Bearer t")
  s.request.resolve(Response.json({ receipts: [{ channel: "a", id: "a1" }] }))
  assert.deepEqual(await receipt, { channel: "a", id: "a1" })
  const refused = room.publish("x", { key: "k" })
  s.request.problem(413, "too_large", { index: 0 })
  await assert.rejects(refused, { code: "too_large", status: 413 })
})

test("a request that fails may have published: with a key it is made again", async t => {
  const { s, rooms: [room] } = await streaming(t, ["a"])
  const receipt = room.publish("x")
  const first = s.request
  first.fail()
  await pass(2)
  assert.notEqual(s.request, first)
  assert.deepEqual(s.request.body, first.body)
  s.request.resolve(Response.json({ receipts: [{ channel: "a", id: "a1", repeated: true }] }))
  assert.equal((await receipt).repeated, true)
  const without = start(t, { WebSocket: undefined })
  const silent = without.pregon.channel("b").publish("x")
  await settle()
  without.request.open()
  await settle()
  without.request.fail()
  await assert.rejects(silent, { code: "outcome_unknown" })
})

test("a stream that is silent is read anew, and patience doubled, as it is not told how often it pings", async t => {
  const { s } = await streaming(t, ["a"])
  for (let i = 0; i < 4; i++) await pass(12.5)
  assert.equal(s.pregon.state, "open")
  await pass(12.5)
  assert.deepEqual(s.states.at(-1).slice(0, 2), ["reconnecting", "silent"])
  await pass(1)
  s.request.open()
  for (let i = 0; i < 8; i++) await pass(12.5)
  assert.equal(s.pregon.state, "open")
})

test("on online and from the back/forward cache the stream is read anew, on visible it is left", async t => {
  const { s } = await streaming(t, ["a"])
  s.tell("visibilitychange")
  await settle()
  assert.equal(s.requests.length, 1)
  s.tell("online")
  await settle()
  assert.equal(s.requests.length, 2)
  s.request.open()
  s.tell("pageshow", { persisted: true })
  await settle()
  assert.deepEqual(s.request.body.channels, [{ channel: "a", since: "a0" }])
  assert.equal(s.requests.length, 3)
})
