// Package token verifies the JSON Web Tokens (RFC 7519, signed as in RFC 7515) that an
// application gives to its users, and makes such tokens for trying out.
//
// [New] takes the issuers that an operator trusts, and [Verifier.Verify] a token as a client
// sent it. What a token grants is in its [Claims]; whether a grant reaches a channel is decided
// elsewhere.
//
// # What is trusted
//
// The key decides which algorithms count, never the token: an RSA key verifies RS* and PS*, a key on
// P-256 only ES256, a secret only HS*. So a public key never serves as a secret (RFC 8725,
// section 3.1). A token is tried with the keys of those issuers alone whose algorithm, key id and
// iss fit. Members of the header that say where a key is to be found (jku, x5u) or that must be
// understood (crit) are refused.
//
// A token is read strictly: base64url without padding and with zero trailing bits, valid UTF-8, no
// member twice. A name that comes twice in another case is refused as well, and so is a claim
// that this package reads, in another case: "SUB" is another claim to some readers and "sub" to
// others, and who signs need not read as this package does.
//
// # Dates
//
// A token counts until exp, to the instant; no leeway is given, as the server keeps a connection for
// some seconds longer anyway, until the client has come back with a new token. Five seconds of
// leeway are given where a clock that is a little ahead would make a fresh token useless: for
// nbf, and for how far away exp may be.
//
// # Tokens that come again
//
// A Verifier knows about 2,000 valid tokens again, by their digests: a client that publishes with its token
// in every request does not have it verified each time, which costs as much as a small publication. Its
// dates are looked at each time, and when the keys of a set change, all are verified anew. Only valid
// tokens are kept, so nobody without one can push them out.
//
// # Keys behind a URL
//
// [Keysets] has what is known of each JSON Web Key Set (RFC 7517). One goroutine for each URL
// fetches it: at the start, every ten minutes, sooner after a failure, and when a token names a key
// that is not known; never more than once in five seconds. A token whose key is known never waits,
// whatever becomes of the fetches. One whose key is not known waits for a fetch that begins after it
// came, for at most ten seconds; it is refused if that fetch does not bring the key, and
// told to come back if the fetch fails. At most 1,000 tokens wait for a URL, and the others are told
// at once to come back. So a made-up key id costs the issuer a request in five seconds, and nobody else
// anything. A token that is refused for another reason, such as its date, does not wait.
//
// A fetch that fails, or brings what is no key set, or a set without one key that can be used, changes
// nothing: the known keys count for as long as it lasts. After a good fetch exactly its keys count.
//
// Signatures and key types come from golang-jwt and jwkset. The client of jwkset, which keyfunc uses,
// is not used: with it a token with an unknown key id makes its request fetch, and others wait
// for a limiter that they share. Its refresh cannot tell a fetch that began before a token from one that
// began after it, either, and follows redirects.
//
// # Concurrency
//
// All methods may be called from any goroutine. Verifiers have no goroutines and need no closing. A
// Keysets outlives the Verifiers that use it, so that a new configuration finds the keys that are
// known; its maker closes it.
package token
