//go:build !faults

package main

// The faults are for tests; see faults.go.

func fault(string) {}

func configurationFault() {}

func collectionFault() {}
