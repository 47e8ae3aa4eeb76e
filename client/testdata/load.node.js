// load.node.js ADDRESS TRANSPORT: listens, in Node, Deno or Bun.
import process from "node:process"
import { connect } from "../pregon.js"
import { listen } from "./load.js"
import { transport } from "./transport.node.js"

const [, , address, name] = process.argv
console.log(JSON.stringify(await listen(connect, address, transport(name), () => console.log("ready"))))
