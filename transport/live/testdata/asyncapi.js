// Reads an AsyncAPI document and the lines of standard input, each "→ " or "← " and a frame, and says what is
// wrong with any of them. The members of frames are all to be described.
const fs = require("node:fs")
const { Parser } = require("@asyncapi/parser")
const Ajv = require("ajv/dist/2020").default

async function main() {
	const text = fs.readFileSync(process.argv[2], "utf8")
	const { document, diagnostics } = await new Parser().parse(text)
	for (const d of diagnostics.filter(d => d.severity === 0)) console.log(`${d.path.join("/")}: ${d.message}`)
	if (!document) return
	const api = JSON.parse(text)
	for (const schema of Object.values(api.components.schemas)) {
		if (schema.properties && schema.additionalProperties === undefined) schema.additionalProperties = false
	}
	const ajv = new Ajv({ strict: true, strictRequired: false, formats: { "date-time": t => !isNaN(Date.parse(t)) } })
	for (const keyword of ["asyncapi", "info", "defaultContentType", "channels", "operations", "components"]) ajv.addKeyword(keyword)
	ajv.addSchema(api, "api")
	const valid = { "→": ajv.getSchema("api#/components/schemas/command"), "←": ajv.getSchema("api#/components/schemas/frame") }
	for (const line of fs.readFileSync(0, "utf8").split("\n").filter(l => l)) {
		const check = valid[line[0]]
		if (!check(JSON.parse(line.slice(2)))) console.log(`${line}: ${ajv.errorsText(check.errors.slice(0, 3))}`)
	}
}
main()
