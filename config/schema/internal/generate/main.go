// Generate writes the published schema, and the README's tables. It runs in the folder
// config/schema: go generate ./config/schema.
package main

import (
	"log"
	"os"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/config/schema"
)

const readme = "../../README.md"

func main() {
	log.SetFlags(0)
	content, err := os.ReadFile(readme)
	if err != nil {
		log.Fatal(err)
	}
	filled, err := schema.Fill(string(content))
	if err != nil {
		log.Fatalf("README.md: %v", err)
	}
	for name, content := range map[string][]byte{"cors.schema.json": schema.JSON(), readme: []byte(filled)} {
		if err := os.WriteFile(name, content, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
