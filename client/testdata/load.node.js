// node load.node.js ADDRESS [ws]: listens, over the WebSocket of the package ws if so asked, and otherwise over streams.
import { createRequire } from "node:module"
import { connect } from "../pregon.js"
import { listen } from "./load.js"

const [, , address, ws] = process.argv
const options = { WebSocket: ws && createRequire(process.env.NODE_PATH + "/")("ws").WebSocket }
console.log(JSON.stringify(await listen(connect, address, options, () => console.log("ready"))))
