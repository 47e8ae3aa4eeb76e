// Package access decides who may do what: it knows credentials, the callers that they stand
// for, and rules, and it knows no route and no protocol, and asks no broker.
//
// A [Policy] is made of a configuration and does not change; a reload makes another one. It
// does two things:
//
//   - [Policy.Authenticate] turns a credential into a [Caller].
//   - [Policy.Decide] says whether a Caller may do something with a channel, and why: a
//     [Decision] names the rule, and what was missing.
//
// # Rules
//
// The first rule that has a pattern for the channel decides for all callers; no later one is
// tried. So what else a [Rule] says of its channels (their history, the longest message and
// so on) does not depend on the caller either, and is found by [Policy.Rule]. In choosing a
// rule, {sub} is any one segment; then the caller's subject must be that segment. Where no
// rule matches, only keys may.
//
// Keys are bounded by their own patterns alone, never by rules.
//
// A subject is its text, no matter who issued the token: of two issuers that both have an "ana"
// each speaks for the other's, wherever subjects count.
//
// # Cost
//
// A decision allocates nothing and takes less than a microsecond for a hundred rules:
// BenchmarkDecide. It is asked for subscriptions and publications, never for deliveries.
//
// # Concurrency properties
//
// Callers are immutable, and so are Policies, but for what they remember of tokens that came
// lately. All functions may be called concurrently, and none
// waits, but for Authenticate where a token was signed with a key that is not known yet.
package access
