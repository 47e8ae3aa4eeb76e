// Package pattern says which channels a pattern stands for. Rules, the grants of tokens
// and the lists of keys are written in patterns, and this is the one place that reads them.
//
// A channel consists of segments: what stands between ".", ":" and "/", each of which
// matches only itself. In a pattern
//
//   - "*" stands for one segment,
//   - "**" at the end for any rest of one character or more,
//   - "{sub}" for the subject of the caller, as one segment; only rules may have it.
//
// All else stands for itself. Bytes are compared: there is no folding of case and no
// normalisation. An empty segment matches nothing, but as a part of the rest; and no pattern
// matches a name that begins with "__", which are the server's own.
package pattern
