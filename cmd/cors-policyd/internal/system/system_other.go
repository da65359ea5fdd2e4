//go:build !unix

package system

// OutliveOutput does nothing: there are no such signals.
func OutliveOutput() {}

// MaxDescriptors is 0: there is no such limit.
func MaxDescriptors() int { return 0 }
