// Each use of the client that its types have; what is wrong is marked as such.
import { connect, PregonError, type Channel, type Client, type Gap, type Members, type Message, type Receipt } from "../pregon.js"

const pregon: Client = connect("https://rt.example.com", { token: async () => "t", credentials: "include", WebSocket })
connect()
connect(new URL("https://rt.example.com/rt"), { token: "t" })
// @ts-expect-error a token is a string
connect("https://rt.example.com", { token: 5 })

const life = new AbortController()
pregon.on("state", ({ state, reason, wait }) => console.log(state === "reconnecting" && wait?.toFixed(), reason?.code), { signal: life.signal })
// @ts-expect-error channels have messages
pregon.on("message", () => {})

const room: Channel = pregon.channel("a", { history: 20, presence: true, member: { sub: "ana", info: { name: "Ana" } } })
room.on("message", (m: Message) => console.log(m.data, m.id, m.by?.sub, m.json().text))
  .on("gap", (g: Gap) => console.log(g.reason, g.from, g.to))
  .on("members", (list: Members) => console.log(list.count, list.complete, list.map(m => m.sub)))
  .on("error", (e: PregonError) => console.log(e.code, e.status, e.retry))
  .on("state", s => console.log(s.state))
// @ts-expect-error there is no such event
room.on("mesage", () => {})
// @ts-expect-error nobody sets a state
room.state = "open"

for await (const item of room) {
  if (item.type === "gap") console.log(item.reason)
  else if (typeof item.data !== "string") console.log(item.data.byteLength)
}

try {
  const receipt: Receipt = await room.publish({ text: "hola" }, { key: "k" })
  console.log(receipt.id, receipt.repeated)
} catch (e) {
  if (e instanceof PregonError && e.code === "outcome_unknown") console.log(e.message)
}
room.close()
pregon.close()
export {}
