// Package probe asks a live server as a browser would, and judges its answers.
//
// What a browser would do, and what it makes of an answer, is package browser's to say; this
// package adds the network: connections, redirects as the Fetch standard follows them, and
// what a server's answers should say instead, whoever made them. It knows nothing of the
// filter, so that it helps before that is there, and checks it afterwards.
//
// Whatever it returns can be shown: the values of headers and queries, user names, cookies and
// what looks like a token are masked.
package probe
