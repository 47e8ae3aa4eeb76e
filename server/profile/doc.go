// Package profile answers with profiles of the running process, in the form that go tool pprof and
// go tool trace read, at the addresses where net/http/pprof has them. That package is not used, as whatever
// imports it shows the profiles to everybody who reaches http.DefaultServeMux; and its answer with the command
// line, where a secret may stand, is left out.
package profile
