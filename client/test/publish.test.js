import assert from "node:assert/strict"
import { test } from "node:test"
import { pass, settle, start } from "./fake.js"

async function subscribed(t, more, options) {
  const s = start(t, options)
  const room = s.pregon.channel("a")
  const socket = await s.opened()
  socket.subscribed(more)
  return { s, room, socket }
}

// reconnect has the client come back to a server that knows its channel.
async function reconnect(s, more) {
  await pass(1)
  const socket = await s.opened()
  socket.subscribed(more)
  return socket
}

const bytes = Uint8Array.of(0, 255, 7)

for (const [name, value, want] of [
  ["a string", "¡Hola!", { data: "¡Hola!" }],
  ["an empty string", "", { data: "" }],
  ["an object", { a: [1, null] }, { data: { a: [1, null] } }],
  ["a number", 5, { data: 5 }],
  ["null", null, { data: null }],
  ["bytes", bytes, { data: "AP8H", encoding: "base64" }],
  ["a buffer", bytes.buffer, { data: "AP8H", encoding: "base64" }],
  ["a part of a buffer", new DataView(bytes.buffer, 1, 2), { data: "/wc=", encoding: "base64" }],
]) {
  test(`${name} is published, and the receipt returned`, async t => {
    const { room, socket } = await subscribed(t)
    const receipt = room.publish(value)
    assert.deepEqual(socket.last("publish"), { ref: 2, channel: "a", ...want })
    socket.hear({ type: "published", ref: 2, channel: "a", id: "c1", repeated: true })
    assert.deepEqual(await receipt, { channel: "a", id: "c1", repeated: true })
  })
}

test("what is no JSON is rejected", async t => {
  const { room, socket } = await subscribed(t)
  await assert.rejects(room.publish(1n), TypeError)
  const circle = {}
  circle.circle = circle
  await assert.rejects(room.publish(circle), TypeError)
  await assert.rejects(room.publish(undefined), SyntaxError)
  assert.deepEqual([socket.sent.length, room.state], [1, "open"])
})

test("what a value was when it was published is published again", async t => {
  const { s, room, socket } = await subscribed(t, { id: "c0" })
  const value = { goals: 1 }
  room.publish(value).catch(() => {})
  value.goals = 2
  socket.end()
  assert.deepEqual((await reconnect(s, { id: "c0", recovered: true })).last("publish").data, { goals: 1 })
})

test("answers come in any order, and errors are those of the server", async t => {
  const { room, socket } = await subscribed(t)
  const [one, two] = [room.publish("1"), room.publish("2")]
  socket.hear({ type: "error", ref: 3, channel: "a", status: 429, code: "too_fast", detail: "Slower.", retry: 2 })
  socket.hear({ type: "published", ref: 2, channel: "a" })
  assert.deepEqual(await one, { channel: "a" })
  await assert.rejects(two, { name: "PregonError", message: "Slower.", code: "too_fast", status: 429, retry: 2, channel: "a" })
})

test("what is published while the first attempt is under way waits for it", async t => {
  const s = start(t)
  const room = s.pregon.channel("a")
  const receipt = room.publish("early")
  const socket = await s.opened()
  assert.deepEqual(socket.sent.map(command => command.type), ["subscribe", "publish"])
  socket.hear({ type: "published", ref: 2, channel: "a" })
  await receipt
})

test("offline: without a connection nothing is sent, and that is said at once", async t => {
  const s = start(t)
  const room = s.pregon.channel("a")
  const first = room.publish("early", { key: "k" })
  await settle()
  s.socket.end()
  await settle()
  s.request.fail()
  await assert.rejects(first, { code: "offline" })
  await assert.rejects(room.publish("x", { key: "k" }), { code: "offline" })
  await pass(1)
  assert.deepEqual((await s.opened()).sent.map(command => command.type), ["subscribe"])
})

test("outcome_unknown: sent, not answered, and without a key not sent again", async t => {
  const { s, room, socket } = await subscribed(t)
  const receipt = room.publish("x")
  socket.end()
  await assert.rejects(receipt, { code: "outcome_unknown" })
  assert.deepEqual((await reconnect(s)).sent.map(command => command.type), ["subscribe"])
})

test("with a history a key is made, and what was not answered is published again, in order", async t => {
  const { s, room, socket } = await subscribed(t, { id: "c0" })
  const receipts = [room.publish("1"), room.publish("2"), room.publish("3", { key: "mine" })]
  const sent = socket.sent.slice(1).map(({ ref, ...command }) => command)
  const keys = sent.map(command => command.key)
  assert.match(keys[0], /^[\w-]{22}$/)
  assert.equal(new Set(keys).size, 3)
  assert.equal(keys[2], "mine")
  socket.end()
  const again = await reconnect(s, { id: "c0", recovered: true })
  assert.deepEqual(again.sent.slice(1).map(({ ref, ...command }) => command), sent)
  for (const { ref } of again.sent.slice(1)) again.hear({ type: "published", ref, channel: "a", id: "c" + ref, repeated: ref === 2 })
  assert.deepEqual((await Promise.all(receipts)).map(({ id, repeated }) => [id, repeated]), [["c2", true], ["c3", false], ["c4", false]])
})

test("with a key it is tried again where the server cannot now, five times", async t => {
  const { room, socket } = await subscribed(t, { id: "c0" })
  const receipt = room.publish("x")
  const fail = (status, code, more) => {
    const { ref } = socket.last("publish")
    socket.hear({ type: "error", ref, channel: "a", status, code, detail: "", ...more })
    return ref
  }
  let ref = fail(504, "outcome_unknown")
  await pass(1.6)
  assert.equal(socket.last("publish").ref, ref + 1)
  ref = fail(503, "broker_unavailable", { retry: 2 })
  await pass(2.9)
  assert.equal(socket.last("publish").ref, ref)
  await pass(0.2)
  for (let i = 0; i < 4; i++) {
    if (i === 3) assert.rejects(receipt, { code: "broker_unavailable" })
    fail(503, "broker_unavailable", { retry: 1 })
    await pass(2)
  }
  await assert.rejects(receipt, { code: "broker_unavailable" })
  assert.equal(socket.sent.filter(command => command.type === "publish").length, 6)
})

for (const [status, code] of [[403, "forbidden"], [413, "too_large"], [429, "too_fast"], [500, "internal"]]) {
  test(`${code} is not tried again`, async t => {
    const { room, socket } = await subscribed(t, { id: "c0" })
    const receipt = room.publish("x")
    socket.hear({ type: "error", ref: 2, channel: "a", status, code, detail: "" })
    await assert.rejects(receipt, { code })
    await pass(3)
    assert.equal(socket.sent.length, 2)
  })
}

test("close says of each publication what is known of it", async t => {
  const { s, room, socket } = await subscribed(t, { id: "c0" })
  const sent = room.publish("x")
  socket.end()
  s.pregon.close()
  await assert.rejects(sent, { code: "outcome_unknown" })
  const early = start(t).pregon
  const never = early.channel("a").publish("x")
  early.close()
  await assert.rejects(never, { code: "closed" })
})

test("no more than 1,000 are under way", async t => {
  const { room, socket } = await subscribed(t)
  const receipts = Array.from({ length: 1000 }, (_, i) => room.publish(i))
  await assert.rejects(room.publish("one more"), { code: "too_fast", status: 429 })
  for (const { ref } of socket.sent.slice(1)) socket.hear({ type: "published", ref, channel: "a" })
  await Promise.all(receipts)
  room.publish("again").catch(() => {}) // is not answered
  assert.equal(socket.last("publish").data, "again")
})

test("a channel that may not be heard may be published to", async t => {
  const s = start(t)
  const room = s.pregon.channel("a")
  const socket = await s.opened()
  socket.hear({ type: "error", ref: 1, channel: "a", status: 403, code: "forbidden", detail: "" })
  const receipt = room.publish("x")
  socket.hear({ type: "published", ref: 2, channel: "a" })
  await receipt
})
