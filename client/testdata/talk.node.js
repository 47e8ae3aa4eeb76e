// talk.node.js ADDRESS TRANSPORT: clients with tokens talk to a server whose rules talk_test.go has, in Node, Deno or Bun.
import assert from "node:assert/strict"
import { Buffer } from "node:buffer"
import process from "node:process"
import { connect } from "../pregon.js"
import { transport } from "./transport.node.js"

const [, , address, name] = process.argv

/** token makes one that the server takes for what it says. */
const token = claims => `eyJhbGciOiJub25lIn0.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2lnbmF0dXJl`
const come = token => connect(address, { token, ...transport(name) })
const when = (from, event, is = () => true) => new Promise(resolve => from.on(event, what => is(what) && resolve(what)))

const rooms = { subscribe: ["room.*"], publish: ["room.*"], for: 600 }
let calls = 0
const ana = come(async () => token({ sub: "ana", ...rooms, subscribe: calls++ ? ["room.1"] : ["room.*"], for: calls > 1 ? 600 : 4 }))
const room = ana.channel("room.1", { presence: true })
const other = ana.channel("room.2")
const secret = ana.channel("secret")
const ended = when(other, "error")
const [refusal] = await Promise.all([when(secret, "error"), when(room, "members", list => list.some(m => m.sub === "ana"))])
assert.equal(refusal.status, 403)

// Who comes and goes is told, and who says something is in the message.
const bob = come(token({ sub: "bob", ...rooms }))
const his = bob.channel("room.1")
await when(room, "members", list => list.some(m => m.sub === "bob"))
const heard = []
his.on("message", m => heard.push([m.data, m.by.sub]))
const all = when(his, "message", m => typeof m.data !== "string")
await room.publish("¡Hola!")
await room.publish({ goals: [2, 1] })
await room.publish(Uint8Array.of(0, 255))
await all
assert.deepEqual(heard, [["¡Hola!", "ana"], ['{"goals":[2,1]}', "ana"], [Uint8Array.of(0, 255), "ana"]])
const left = when(room, "members", list => !list.some(m => m.sub === "bob"))
bob.close()
await left

// The next token has fewer grants, and what was lost ends, nothing else.
assert.equal((await ended).status, 403)
if (ana.state !== "open") await when(ana, "state", ({ state }) => state === "open") // a stream begins anew
if (room.state !== "open") await when(room, "state", ({ state }) => state === "open")
assert.ok((await room.publish("still here")).id)
ana.close()

// What cannot be mended is the end, of the client or of the channel.
for (const [claims, status] of [[undefined, 401], ["nonsense", 401], [token({ sub: "eve", for: -10, subscribe: ["**"] }), 401], [token({ sub: "eve", for: 600 }), 403]]) {
  const pregon = come(claims)
  const refused = pregon.channel("room.1")
  assert.equal((await when(refused, "error")).status, status, claims)
  assert.equal(refused.state, "closed")
  if (status === 401 && pregon.state !== "closed") await when(pregon, "state", ({ state }) => state === "closed")
  pregon.close()
}
console.log("done")
