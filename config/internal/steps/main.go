// Command steps parses the documents in the files that it is given and writes what its
// counters of executed statements say, for each into a folder beside the file. It is
// for a test, which builds it with go build -cover.
package main

import (
	"fmt"
	"os"
	"runtime/coverage"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
)

func main() {
	for _, file := range os.Args[1:] {
		if err := count(file); err != nil {
			fmt.Fprintln(os.Stderr, "steps:", err)
			os.Exit(1)
		}
	}
}

func count(file string) error {
	doc, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text := string(doc)
	if err := coverage.ClearCounters(); err != nil {
		return fmt.Errorf("build it with -cover -covermode=atomic: %w", err)
	}
	config.Parse(text)
	folder := file + ".counters"
	if err := os.Mkdir(folder, 0o777); err != nil {
		return err
	}
	if err := coverage.WriteMetaDir(folder); err != nil {
		return err
	}
	return coverage.WriteCountersDir(folder)
}
