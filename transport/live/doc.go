// Package live serves clients that converse over WebSocket: over one connection they subscribe and
// unsubscribe channels, publish, ask who is there and renew their credential. README.md of package
// transport has the protocol, and testdata conversations.
package live
