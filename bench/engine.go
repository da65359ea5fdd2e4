package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

var benchmarkLine = regexp.MustCompile(`(?m)^BenchmarkEngine/(.*)/(ours|rs/cors)(?:-\d+)?\s+\d+` +
	`\s+([\d.]+) ns/op\s+\d+ B/op\s+(\d+) allocs/op`)

// engineBenchmarks is the compiled test of this package.
const engineBenchmarks = scratch + "/bench.test"

// measureEngine runs the Go benchmarks beside this file.
func measureEngine(o *options, _ *files, r *results) error {
	say("engine: the benchmarks in Go")
	duration := "500ms"
	if o.quick {
		duration = "50ms"
	}
	cmd := exec.Command(engineBenchmarks, "-test.run", "Engines", "-test.bench", "Engine", "-test.benchtime", duration)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	c := chapter{
		title: "The engine natively",
		text: `The engine as a Go library beside github.com/rs/cors: a decision, and the headers written
into an http.Header. Time, and allocations.`,
		rows: [][]string{{"request", ours, "allocations", "rs/cors", "allocations"}},
	}
	byCase := map[string][]string{}
	for _, m := range benchmarkLine.FindAllSubmatch(bytes.TrimSpace(out), -1) {
		name, nanos, allocs := strings.ReplaceAll(string(m[1]), "_", " "), string(m[3]), string(m[4])
		if byCase[name] == nil {
			byCase[name] = []string{name, "", "", "", ""}
			c.rows = append(c.rows, byCase[name])
		}
		ns, _ := strconv.ParseFloat(nanos, 64) // It matches the expression.
		at := 1
		if string(m[2]) != ours {
			at = 3
		}
		byCase[name][at], byCase[name][at+1] = fmt.Sprintf("%.0f ns", ns), allocs
	}
	if len(byCase) == 0 {
		return fmt.Errorf("no figures in\n%s", out)
	}
	r.add(c)
	return nil
}
