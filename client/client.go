// Package client is the client of pregon for pages and programs in JavaScript: an npm package, whose module and
// types the server serves, too. README.md says how to use it.
package client

import _ "embed"

// Module is the ES module, as it is served at /pregon.js. Nobody may change it.
//
//go:embed pregon.js
var Module []byte

// Types are its declarations for TypeScript, as they are served at /pregon.d.ts. Nobody may change them.
//
//go:embed pregon.d.ts
var Types []byte
