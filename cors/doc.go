// Package cors decides CORS requests by the Fetch standard.
//
// It is pure: no I/O, no globals, no knowledge of a proxy. A [Config] says what
// an operator wants; [Compile] checks it and turns it into an immutable
// [Policy]; and [Policy.Decide] turns the facts of one request into a [Decision]. Which
// of many policies applies to a request package match finds. A decision
// says whether the request is answered here, with which headers, or which edits
// the upstream's answer needs, and why.
//
// The words are those of the Fetch standard: origin, preflight, actual request,
// credentials, exposed header.
// See https://fetch.spec.whatwg.org/#http-cors-protocol.
package cors
