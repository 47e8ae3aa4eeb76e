// Package waysin is tests alone. They try every way into a server, those of the registered
// transports included, with every kind of caller, credential and origin, and look for what leaks.
//
// Their test binary is their own, so that the protocols which are registered in it are those of
// cmd/pregon and no others: a test says so.
package waysin
