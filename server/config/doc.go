// Package config reads pregon.yaml: who may do what, and the settings of the server.
//
// [Load] reads a file and the secrets that it names, and returns a [Config]: what packages
// access and token need, and the settings that are flags, too. It reports all that is wrong
// with a file at once, each with its line and column; what is misspelt, with the nearest
// name that is known.
//
// # Secrets
//
// A file has no secrets but says where they are: in files, of which one newline at the end is
// dropped, or in environment variables. No [Diagnostic] has a secret, nor a value that may be
// one; of what is not known it quotes at most a name that is too short for a key.
//
// # Not all of YAML
//
// Aliases, merge keys, tags and several documents are refused. A file that says who may do what
// is to be read as it stands; and without aliases no file is larger in memory than it looks.
package config
