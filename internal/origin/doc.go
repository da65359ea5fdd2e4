// Package origin knows what a serialized origin is, and compiles allow_origins: origins,
// patterns and regexes become a [Set] in which a request's Origin is looked up. What
// isn't right it reports, with what was probably meant.
//
// A regex is made an automaton, which tells what it can match, and so whom a policy
// that allows credentials would trust.
package origin
