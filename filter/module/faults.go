//go:build faults

package main

import "strings"

// fault panics at the header or property that is named in the request header
// x-fault, so that tests see what comes of a panic in each callback. Only builds
// with the tag faults have it.
func fault(name string) {
	if name == "x-fault" {
		return
	}
	if at, ok := header(requestHeaders, "x-fault"); ok {
		faultAt = strings.Clone(at)
	}
	if name == faultAt {
		panic("fault at " + name)
	}
}

// faultAt outlives the request's headers, which the answer's callback can't ask for.
var faultAt string
