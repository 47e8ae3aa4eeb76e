import assert from "node:assert/strict"
import { test } from "node:test"
import { message, pass, record, settle, start } from "./fake.js"

const refused = (status, code, more) => ({ type: "error", status, code, detail: code, ...more })

test("a channel goes on from its cursor, also from the middle of a replay", async t => {
  const s = start(t)
  const heard = record(s.pregon.channel("a", { history: 3 }))
  const socket = await s.opened()
  socket.subscribed({ id: "c0" })
  socket.hear(message("a", "one", "c1"), { type: "gap", channel: "a", reason: "missing", from: "c1", to: "c9" })
  socket.end()
  socket.hear(message("a", "late", "c9"))
  await pass(1)
  const second = await s.opened()
  assert.deepEqual(second.sent, [{ type: "subscribe", ref: 1, channel: "a", since: "c1" }])
  second.end() // nothing was answered
  await pass(1)
  const third = await s.opened()
  assert.equal(third.last("subscribe").since, "c1")
  third.subscribed({ id: "c1", recovered: true })
  third.hear(message("a", "two", "c2"))
  third.end()
  await pass(2)
  assert.equal((await s.opened()).last("subscribe").since, "c2")
  assert.deepEqual(heard, ["open", "one", "gap missing", "reconnecting", "reconnecting", "open", "two", "reconnecting"])
})

test("history is asked for again where the first subscribe was not answered", async t => {
  const s = start(t)
  s.pregon.channel("a", { history: 3 })
  await s.opened()
  s.socket.end()
  await pass(1)
  assert.equal((await s.opened()).last("subscribe").history, 3)
})

for (const { name, first, again, want, next } of [
  { name: "recovered", first: { id: "c0" }, again: { id: "c0", recovered: true }, want: [], next: "c0" },
  { name: "not recovered", first: { id: "c0" }, again: { id: "c7", recovered: false }, want: ["gap not-recovered"], next: "c7" },
  { name: "no history", first: {}, again: {}, want: ["gap reconnected"], next: undefined },
  { name: "the history was taken away", first: { id: "c0" }, again: { recovered: false }, want: ["gap not-recovered"], next: undefined },
]) {
  test(`a gap tells what cannot be promised, ahead of what follows: ${name}`, async t => {
    const s = start(t)
    const room = s.pregon.channel("a")
    const socket = await s.opened()
    socket.subscribed(first)
    socket.end()
    await pass(1)
    const heard = record(room)
    await s.opened()
    s.socket.subscribed(again)
    s.socket.hear(message("a", "more"))
    assert.deepEqual(heard, ["open", ...want, "more"])
    assert.equal(room.id, next)
  })
}

test("a cursor of the page's own is where it begins, and one that is none is told as a gap", async t => {
  const s = start(t)
  const heard = record(s.pregon.channel("a", { since: "page's", history: 5 }))
  const socket = await s.opened()
  assert.deepEqual(socket.sent, [{ type: "subscribe", ref: 1, channel: "a", since: "page's" }])
  socket.hear(refused(400, "bad_cursor", { ref: 1, channel: "a" }))
  assert.equal(socket.last("subscribe").since, undefined)
  socket.subscribed({ id: "c0" })
  assert.deepEqual(heard, ["open", "gap not-recovered"])
})

test("waits grow to half a minute, with full jitter, and are short again after a link that has lasted", async t => {
  const s = start(t)
  const waits = []
  for (let i = 0; i < 9; i++) {
    await settle()
    s.socket.welcome()
    s.socket.end()
    waits.push(s.states.at(-1)[2])
    await pass(waits.at(-1))
  }
  assert.deepEqual(waits, [0.25, 0.5, 1, 2, 4, 8, 15, 15, 15])
  await s.opened()
  await pass(11)
  s.socket.end()
  assert.equal(s.states.at(-1)[2], 0.25)
  Math.random.mock.mockImplementation(() => 0)
  await pass(1)
  await s.opened()
  s.socket.end()
  assert.equal(s.states.at(-1)[2], 0)
})

for (const code of [1002, 1003, 1007, 1008, 1009, 4100, 4142, 4199]) {
  test(`${code} is the end`, async t => {
    const s = start(t)
    const heard = record(s.pregon.channel("a"))
    await s.opened()
    s.socket.end(code, "some_reason")
    await pass(1000)
    assert.equal(s.sockets.length, 1)
    assert.deepEqual(s.states.at(-1), ["closed", "some_reason", undefined])
    assert.deepEqual(heard, ["error some_reason", "closed"])
  })
}

for (const code of [1000, 1001, 1005, 1006, 1011, 1013, 3000, 4000, 4002, 4008, 4009, 4010, 4099, 4200]) {
  test(`the client comes back after ${code}`, async t => {
    const s = start(t)
    await s.opened()
    s.socket.end(code)
    await pass(40)
    assert.equal(s.sockets.length, 2)
    assert.equal(s.states.at(-1)[0], "reconnecting")
  })
}

test("it comes back later after 4010, and as the server asks", async t => {
  const s = start(t)
  await s.opened()
  s.socket.end(4010, "limited")
  assert.deepEqual(s.states.at(-1), ["reconnecting", "limited", 15])
  s.tell("online") // which does not make it any sooner
  s.tell("visibilitychange")
  await pass(14)
  assert.equal(s.sockets.length, 1)
  await pass(2)
  s.socket.hear(refused(503, "draining", { retry: 6 }))
  s.socket.end(1013)
  assert.deepEqual(s.states.at(-1), ["reconnecting", "draining", 9])
})

test("an error ahead of the close is the reason", async t => {
  const s = start(t, { token: "static" })
  await settle()
  s.socket.hear(refused(403, "forbidden"))
  s.socket.end(4100, "forbidden")
  assert.deepEqual(s.states, [["closed", "forbidden", undefined]])
  assert.equal(s.pregon.reason.status, 403)
})

for (const { name, options, been, code, want } of [
  { name: "a function may have another one", options: { token: () => "t" }, code: 4009, want: "reconnecting" },
  { name: "a string is never another", options: { token: "t" }, code: 4009, want: "closed" },
  { name: "a string that has expired", options: { token: "t" }, been: true, code: 4009, want: "closed" },
  { name: "no credential, never let in", options: {}, code: 4009, want: "closed" },
  { name: "a cookie that has expired may be renewed", options: {}, been: true, code: 4009, want: "reconnecting" },
]) {
  test(`401: ${name}`, async t => {
    const s = start(t, options)
    if (been) await s.opened()
    await settle()
    s.socket.hear(refused(401, "unauthorized"))
    s.socket.end(code, "unauthorized")
    assert.equal(s.pregon.state, want)
    assert.equal(s.pregon.reason.code, "unauthorized")
  })
}

test("each connection comes with a token of its own", async t => {
  let n = 0
  const s = start(t, { token: () => "t" + ++n })
  await s.opened()
  s.socket.end(4009, "expired")
  await pass(1)
  assert.deepEqual(s.sockets.map(socket => atob(socket.protocols[1].slice("pregon.bearer.".length))), ["t1", "t2"])
})

test("a function that fails to get a token is tried again", async t => {
  let fails = true
  const s = start(t, { token: async () => { if (fails) throw new Error("offline"); return "t" } })
  await settle()
  assert.deepEqual(s.states, [["reconnecting", "no_token", 0.25]])
  assert.equal(s.pregon.reason.cause.message, "offline")
  fails = false
  await pass(1)
  await s.opened()
  assert.equal(s.pregon.state, "open")
})

test("a token is renewed when 80 % of its time have passed, and each after it", async t => {
  let n = 0
  const s = start(t, { token: () => "t" + ++n })
  const socket = await s.opened({ ttl: 100 })
  const alive = async seconds => { // the server pings meanwhile
    for (let i = 0; i < seconds; i += 10) { await pass(10); socket.hear({ type: "ping" }) }
  }
  await alive(70)
  assert.equal(socket.sent.length, 0)
  await alive(10)
  assert.deepEqual(socket.sent, [{ type: "renew", ref: 1, token: "t2" }])
  socket.hear({ type: "renewed", ref: 1, ttl: 50 })
  await alive(40)
  assert.deepEqual(socket.sent[1], { type: "renew", ref: 2, token: "t3" })
  socket.hear(refused(401, "unauthorized", { ref: 2 })) // there is time for another try
  await alive(10)
  assert.deepEqual(socket.sent[2], { type: "renew", ref: 3, token: "t4" })
  socket.hear(refused(403, "other_subject", { ref: 3 })) // another user is another connection
  assert.equal(s.pregon.state, "reconnecting")
  await pass(1)
  assert.match(atob(s.socket.protocols[1].slice(14)), /t5/)
})

test("a static token is not renewed", async t => {
  const s = start(t, { token: "t" })
  await s.opened({ ttl: 1 })
  await pass(10)
  assert.deepEqual(s.socket.sent, [])
})

test("an attempt that nothing answers is given up", async t => {
  const s = start(t)
  await pass(14)
  assert.ok(!s.socket.closed)
  await pass(2)
  assert.ok(s.sockets[0].closed)
  assert.deepEqual(s.states[0].slice(0, 2), ["reconnecting", "unreachable"])
  s.sockets[0].end() // is no news
  await pass(1)
  assert.equal(s.sockets.length, 2)
})
