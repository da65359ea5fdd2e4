//go:build !faults

package main

// fault is for tests; see faults.go.
func fault(string) {}
