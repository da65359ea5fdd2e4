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

// An engineFigure is what one decision takes natively.
type engineFigure struct {
	Case    string  `json:"case"`
	Library string  `json:"library"`
	Nanos   float64 `json:"nanos"`
	Bytes   int     `json:"bytes"`
	Allocs  int     `json:"allocations"`
}

var benchmarkLine = regexp.MustCompile(`(?m)^BenchmarkEngine/(.*)/(ours|rs/cors)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op\s+(\d+) B/op\s+(\d+) allocs/op`)

// engineBenchmarks is the compiled test of this package.
const engineBenchmarks = scratch + "/bench.test"

// measureEngine runs the Go benchmarks beside this file.
func measureEngine(o *options, _ *files, r *results) error {
	say("engine: the benchmarks in Go")
	duration := "500ms"
	if o.quick {
		duration = "50ms"
	}
	cmd := exec.Command(engineBenchmarks, "-test.bench", "Engine", "-test.benchtime", duration)
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
		x := engineFigure{Case: strings.ReplaceAll(string(m[1]), "_", " "), Library: string(m[2])}
		x.Nanos, _ = strconv.ParseFloat(string(m[3]), 64) // They match the expression.
		x.Bytes, _ = strconv.Atoi(string(m[4]))
		x.Allocs, _ = strconv.Atoi(string(m[5]))
		r.Engine = append(r.Engine, x)
		if byCase[x.Case] == nil {
			byCase[x.Case] = []string{x.Case, "", "", "", ""}
			c.rows = append(c.rows, byCase[x.Case])
		}
		at := 1
		if x.Library != ours {
			at = 3
		}
		byCase[x.Case][at], byCase[x.Case][at+1] = fmt.Sprintf("%.0f ns", x.Nanos), strconv.Itoa(x.Allocs)
	}
	if r.Engine == nil {
		return fmt.Errorf("no figures in\n%s", out)
	}
	r.add(c)
	return nil
}
