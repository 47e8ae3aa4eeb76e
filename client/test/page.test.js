import assert from "node:assert/strict"
import { test } from "node:test"
import { pass, record, settle, start } from "./fake.js"

// pinged returns the ref of the sign of life that was asked for last.
const pinged = socket => socket.last("ping").ref
const alive = (socket, ref) => socket.hear({ type: "error", ref, status: 400, code: "unknown_type", detail: "" })

test("silence for twice ping: it connects anew", async t => {
  const s = start(t)
  const socket = await s.opened({ ping: 10 })
  for (let i = 0; i < 10; i++) {
    await pass(10)
    socket.hear({ type: "ping" })
  }
  for (let i = 0; i < 4; i++) await pass(4.9)
  assert.equal(s.pregon.state, "open")
  for (let i = 0; i < 2; i++) await pass(4.9)
  assert.ok(socket.closed)
  assert.deepEqual(s.states.at(-1).slice(0, 2), ["reconnecting", "silent"])
})

for (const [name, more, visible] of [["online", {}], ["pageshow", { persisted: true }], ["visibilitychange", {}, "visible"]]) {
  test(`${name}: a sign of life in 4 s, or another connection`, async t => {
    const s = start(t)
    const socket = await s.opened()
    s.tell(name, more)
    s.tell(name, more) // one answer will do
    assert.equal(socket.sent.length, 1)
    alive(socket, pinged(socket))
    await pass(5)
    assert.equal(s.pregon.state, "open")
    s.tell(name, more)
    socket.hear({ type: "ping" }) // which was under way before
    await pass(3.9)
    assert.equal(s.pregon.state, "open")
    await pass(0.2)
    assert.deepEqual(s.states.at(-1).slice(0, 2), ["reconnecting", "silent"])
  })
}

test("a page that is shown for the first time, or hidden, is no reason", async t => {
  const s = start(t)
  const socket = await s.opened()
  s.tell("pageshow", { persisted: false })
  document.visibilityState = "hidden"
  s.tell("visibilitychange")
  assert.deepEqual(socket.sent, [])
})

test("a page that is shown again does not wait for the next attempt", async t => {
  const s = start(t)
  Math.random.mock.mockImplementation(() => 1)
  for (let i = 0; i < 5; i++) {
    await s.opened()
    s.socket.end()
    s.tell("visibilitychange")
    s.tell("visibilitychange") // an attempt is under way
    await settle()
    assert.equal(s.sockets.length, i + 2)
  }
})

test("offline: it waits for online, without attempts, and then comes back at once", async t => {
  const s = start(t)
  const heard = record(s.pregon.channel("a"))
  const socket = await s.opened()
  socket.subscribed({ id: "c0" })
  navigator.onLine = false
  s.tell("offline")
  assert.deepEqual(s.states.at(-1), ["reconnecting", "offline", undefined])
  await pass(3600)
  assert.equal(s.sockets.length, 1)
  navigator.onLine = true
  s.tell("online")
  await s.opened()
  s.socket.subscribed({ id: "c0", recovered: true })
  assert.deepEqual(heard, ["open", "reconnecting", "open"])
  s.socket.end()
  assert.equal(s.states.at(-1)[2], 0.25, "the time without a network is no failure")
})

test("a tab that slept past many timers asks for a sign of life first", async t => {
  const s = start(t)
  const socket = await s.opened()
  // An hour passes in which no timer fires; then each fires once.
  const now = Date.now() + 3600_000
  t.mock.method(Date, "now", () => now)
  await pass(12.5)
  assert.equal(s.pregon.state, "open")
  alive(socket, pinged(socket))
  await pass(5)
  assert.equal(s.pregon.state, "open")
})

test("a page that was frozen and whose connection is gone is back 4 s after it wakes", async t => {
  const s = start(t)
  await s.opened()
  s.tell("pageshow", { persisted: true })
  await pass(4.3)
  await pass(0.3)
  await s.opened()
  assert.equal(s.pregon.state, "open")
  assert.equal(s.sockets.length, 2)
})

test("after close the page's events are nothing to it", async t => {
  const s = start(t)
  await s.opened()
  s.pregon.close()
  for (const name of ["online", "offline", "visibilitychange"]) s.tell(name)
  await settle()
  assert.equal(s.sockets.length, 1)
})
