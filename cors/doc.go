// Package cors decides CORS requests by the Fetch standard.
//
// It is pure: no I/O, no globals, no knowledge of a proxy. A [Config] says what
// an operator wants. [Compile] checks it, says what is wrong and what to write instead,
// and turns it into an immutable [Policy]. [Policy.Decide] turns the facts of one
// [Request] into a [Decision]. Which of many policies applies to a request package match
// finds.
//
// A preflight is answered, with [Decision.Status] and [Decision.AppendHeaders], unless
// [Decision.Answered] says that it is forwarded. Whatever is forwarded comes back with
// an answer, to which [Decision.Edit] is applied, or [Edits] that were kept until then.
// A decision that is not carried out is kept by [Decision.Shadow], to be compared with the
// answer that the page gets.
// [Decision.Reason] says to code why a request got its answer, and [Decision.Why]
// to people.
//
// The words are those of the Fetch standard: origin, preflight, actual request,
// credentials, exposed header.
// See https://fetch.spec.whatwg.org/#http-cors-protocol.
package cors

// incomparable is a field of structs that nothing compares: the module is then without the
// function that would, which can be a kilobyte.
type incomparable [0]func()
