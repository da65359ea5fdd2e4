//go:build !faults

package main

// The faults are for tests; see faults.go.

func faultIn(string) {}

func fault(string) {}

func configurationFault(bool) {}

func collectionFault() {}
