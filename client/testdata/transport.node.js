import { createRequire } from "node:module"
import process from "node:process"

/** transport returns the options of a client for "streams", "ws", the package of that name, or "native", the WebSocket of the runtime. */
export function transport(name) {
  switch (name) {
  case "streams": return { WebSocket: "" }
  case "ws": return { WebSocket: createRequire(process.env.NODE_PATH + "/")("ws").WebSocket }
  case "native": return {}
  }
  throw new Error(`transport: ${name}`)
}
