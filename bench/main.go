// Command bench measures what a request pays for CORS: the CPU time that the filter
// adds to Envoy's worker, beside Envoy's own filter and others that do the same; and
// what the filter takes to start, and how all of that grows with the configuration.
//
// `make bench` runs it, from the root of the repository.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/envoy"
)

const usage = `Usage: bench [flags]

Measures the CORS filter in Envoy, everything interleaved in one process. Run it from
the root of the repository, on a machine with nothing else to do; "make bench" builds
what it needs, and passes flags on: make bench BENCHFLAGS="-quick -sections cpu".

A filter in Rust that does the same is measured beside it if -rust has its module, whose
configuration is the text
  ` + rustPolicy + `
and with it how much of Rust's CPU the filter takes. So is any other module, each by a
flag -more. They must do what bench/equal.wat does.

Sections, and how long each takes with the default flags:
`

// scratch is the folder of what a run needs and leaves.
const scratch = "build/bench"

// options are the command's flags.
type options struct {
	module      string
	rust        string
	more        modules
	out         string
	sections    string
	rounds      int
	burst       int
	connections int
	starts      int
	seconds     int
	quick       bool
}

// A section is a part of the run.
type section struct {
	name  string
	about string
	run   func(*options, *files, *results) error
}

var sections = []section{
	{"cpu", "CPU of a request, beside other filters, and the ratios to them: 7 minutes", measureCPU},
	{"answers", "CPU of answers with 5 and 25 headers, of look-ups and of counters: 4 minutes", measureAnswers},
	{"scale", "CPU, start and memory with many policies or origins: 10 minutes", measureScale},
	{"start", "start and memory, with one worker and two: 3 minutes", measureStart},
	{"updates", "memory after 1, 10 and 100 updates of 2 MB: 2 minutes", measureUpdates},
	{"latency", "latency at half of saturation, and while policies change: 2 minutes", measureLatency},
	{"engine", "the engine as a Go library, beside github.com/rs/cors: 1 minute", measureEngine},
}

// files are the paths that a run uses.
type files struct {
	envoy                       string
	cors, empty, equal, emptyGo string  // modules
	rust                        *module // nil if there is none
	more                        []module
}

func main() {
	// This thread moves between cores, see pinWorker.
	runtime.LockOSThread()
	var names []string
	about := ""
	for _, s := range sections {
		names = append(names, s.name)
		about += fmt.Sprintf("  %-8s %s\n", s.name, s.about)
	}
	var o options
	flag.StringVar(&o.module, "module", "build/cors.wasm", "the filter, a Wasm `file`")
	flag.StringVar(&o.rust, "rust", "", "the same filter in Rust, a Wasm `file`")
	flag.Var(&o.more, "more", "a further module, `name=file or name=file=configuration`; may be given again")
	flag.StringVar(&o.out, "out", "",
		"`folder` of the results (default bench/results, but "+scratch+"/results for a part of the run)")
	flag.StringVar(&o.sections, "sections", strings.Join(names, ","), "what to measure, a `list`")
	flag.IntVar(&o.rounds, "rounds", 60, "rounds, each with a burst of everything in random order")
	flag.IntVar(&o.burst, "burst", 2000, "requests in a burst")
	flag.IntVar(&o.connections, "connections", 16, "kept-alive connections of a burst")
	flag.IntVar(&o.starts, "starts", 5, "starts of each Envoy whose start is measured")
	flag.IntVar(&o.seconds, "seconds", 10, "seconds of requests for the latency")
	flag.BoolVar(&o.quick, "quick", false,
		"a look in some minutes: 5 rounds, 1 start, 2 seconds, unless told otherwise, and 10 updates")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage, about, "\nFlags:\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "bench: unexpected argument %q; see bench -help\n", flag.Arg(0))
		os.Exit(2)
	}
	if o.quick {
		given := map[string]bool{}
		flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
		for name, value := range map[string]string{"rounds": "5", "starts": "1", "seconds": "2"} {
			if !given[name] {
				_ = flag.Set(name, value) // It is a number.
			}
		}
	}
	if o.out == "" {
		o.out = "bench/results"
		if o.quick || o.sections != strings.Join(names, ",") {
			o.out = filepath.Join(scratch, "results")
		}
	}
	if err := run(&o, names); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o *options, names []string) error {
	wanted := strings.Split(o.sections, ",")
	for _, name := range wanted {
		if !slices.Contains(names, name) {
			return fmt.Errorf("no section %q, there are %s", name, strings.Join(names, ", "))
		}
	}
	if o.rounds < 1 || o.burst < 1 || o.connections < 1 || o.starts < 1 || o.seconds < 1 {
		return errors.New("numbers must be positive")
	}
	f, err := prepare(o)
	if err != nil {
		return err
	}
	r := newResults(o, f)
	for _, s := range sections {
		if slices.Contains(wanted, s.name) {
			if err := s.run(o, f, r); err != nil {
				// What was measured so far is kept, but not as the results.
				return errors.Join(fmt.Errorf("%s: %w", s.name, err), r.write(filepath.Join(scratch, "unfinished")))
			}
		}
	}
	return r.write(o.out)
}

// prepare builds the floors, and copies the filter, so that a build doesn't disturb
// the run.
func prepare(o *options) (*files, error) {
	if err := os.MkdirAll(scratch, 0o755); err != nil {
		return nil, err
	}
	binary, err := envoy.Find("")
	if err != nil {
		return nil, err
	}
	f := &files{
		envoy: binary, cors: filepath.Join(scratch, "cors.wasm"), emptyGo: filepath.Join(scratch, "emptygo.wasm"),
		more: o.more,
	}
	code, err := os.ReadFile(o.module)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(f.cors, code, 0o644); err != nil {
		return nil, err
	}
	for name, path := range map[string]*string{"empty": &f.empty, "equal": &f.equal} {
		*path = filepath.Join(scratch, name+".wasm")
		if text, err := exec.Command("wat2wasm", "bench/"+name+".wat", "-o", *path).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("wat2wasm: %w\n%s", err, text)
		}
	}
	if o.rust != "" {
		f.rust = &module{rust, o.rust, rustPolicy}
	}
	return f, nil
}

// say writes a line of progress.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
}
