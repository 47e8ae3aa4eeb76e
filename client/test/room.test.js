import assert from "node:assert/strict"
import { test } from "node:test"
import { message, pass, settle, start } from "./fake.js"

async function subscribed(t, options) {
  const s = start(t)
  const room = s.pregon.channel("a", options)
  const socket = await s.opened()
  socket.subscribed({ id: "c0" })
  return { s, room, socket, hear: (...texts) => socket.hear(...texts.map(text => message("a", text, "c" + text))) }
}

test("a listener that throws is reported, and stops nothing", async t => {
  const { room, hear } = await subscribed(t)
  const reports = []
  t.mock.method(globalThis, "queueMicrotask", f => { try { f() } catch (error) { reports.push(error.message) } })
  const heard = []
  room.on("message", () => { throw new Error("the page's own") }).on("message", m => heard.push(m.data))
  hear("1", "2")
  assert.deepEqual([heard, reports], [["1", "2"], ["the page's own", "the page's own"]])
})

test("a signal removes a listener, and one that was aborted before adds none", async t => {
  const { room, hear } = await subscribed(t)
  const heard = []
  const life = new AbortController()
  const listen = () => m => heard.push(m.data)
  room.on("message", listen(), { signal: life.signal }).on("message", listen()).on("message", listen(), { signal: AbortSignal.abort() })
  hear("1")
  life.abort()
  hear("2")
  assert.deepEqual(heard, ["1", "1", "2"])
})

test("an event that there is not is an error", t => {
  const s = start(t)
  assert.throws(() => s.pregon.on("message", () => {}), TypeError)
  assert.throws(() => s.pregon.channel("a").on("mesage", () => {}), TypeError)
})

test("for await yields messages and gaps, from before it began", async t => {
  const { room, socket, hear } = await subscribed(t)
  hear("1")
  socket.hear({ type: "gap", channel: "a", reason: "missing" })
  hear("2")
  const heard = []
  for await (const item of room) {
    heard.push(item.data ?? item.reason)
    if (heard.length === 3) setImmediate(hear, "3")
    if (heard.length === 4) break
  }
  assert.deepEqual(heard, ["1", "missing", "2", "3"])
  hear("4")
  assert.equal((await Promise.race([room[Symbol.asyncIterator]().next(), settle()])), undefined, "what came between two loops is over")
})

test("nothing is kept for a loop where something listens to messages", async t => {
  const { room, hear } = await subscribed(t)
  room.on("message", () => {})
  hear("1")
  const items = room[Symbol.asyncIterator]()
  const next = items.next()
  hear("2")
  assert.equal((await next).value.data, "2")
})

test("two loops hear the same", async t => {
  const { room, hear } = await subscribed(t)
  const loops = [room[Symbol.asyncIterator](), room[Symbol.asyncIterator]()].map(items => items.next())
  hear("1")
  assert.deepEqual((await Promise.all(loops)).map(({ value }) => value.data), ["1", "1"])
})

test("of more than 1,000 that are unread the oldest make place for a gap", async t => {
  const { room, hear } = await subscribed(t)
  for (let i = 1; i <= 1000; i++) hear(String(i))
  const full = room._unclaimed.length
  hear("1001", "1002", "1003")
  const heard = []
  for await (const item of room) {
    heard.push(item.data ?? item.reason)
    if (item.data === "1003") break
  }
  assert.deepEqual([full, heard.length, heard.slice(0, 2)], [1000, 1000, ["slow-consumer", "5"]])
})

test("a loop ends with close, at once", async t => {
  const { room, hear } = await subscribed(t)
  const heard = []
  hear("1", "2")
  for await (const item of room) {
    heard.push(item.data)
    room.close()
  }
  assert.deepEqual(heard, ["1"])
  const waiting = start(t).pregon.channel("b")
  const next = waiting[Symbol.asyncIterator]().next()
  waiting.close()
  assert.equal((await next).done, true)
})

test("a loop throws where the server ends the channel, behind what was heard", async t => {
  const { room, socket, hear } = await subscribed(t)
  hear("1")
  socket.hear({ type: "unsubscribed", channel: "a", status: 403, code: "forbidden", detail: "" })
  const heard = []
  await assert.rejects(async () => { for await (const item of room) heard.push(item.data) }, { code: "forbidden" })
  assert.deepEqual(heard, ["1"])
})

const page = (members, more) => ({ type: "members", channel: "a", count: 3, members, ...more })

test("members are told as the whole list, when its last page has come", async t => {
  const { s, room, socket } = await subscribed(t, { presence: true })
  const told = []
  room.on("members", list => told.push([list.map(m => m.sub + (m.info ?? "")).join(), list.count, list.complete]))
  socket.hear(page([{ sub: "a", connections: 2 }, { sub: "b" }], { more: true }))
  assert.deepEqual([told, room.members.complete], [[], false])
  socket.hear(page([{ sub: "c" }]))
  socket.hear({ type: "presence", channel: "a", joined: [{ sub: "d" }, { sub: "b", info: 1 }], left: ["a", "nobody"] })
  socket.hear(page([{ sub: "x" }], { count: 1, complete: false })) // after a hole
  socket.hear({ type: "presence", channel: "a", left: ["x"] })
  assert.deepEqual(told, [["a,b,c", 3, true], ["b1,c,d", 3, true], ["x", 1, false], ["", 0, false]])
  socket.hear({ type: "presence", channel: "a", count: 1001 })
  assert.deepEqual([room.members.length, room.members.count], [0, 1001])
  // A list that was cut is begun anew.
  socket.hear(page([{ sub: "old" }], { more: true }))
  socket.end()
  await pass(1)
  await s.opened()
  s.socket.subscribed({ id: "c0", recovered: true })
  s.socket.hear(page([{ sub: "new" }], { count: 1 }))
  assert.deepEqual(told.at(-1), ["new", 1, true])
})
