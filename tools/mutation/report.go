package main

import (
	"fmt"
	"log"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A result is what became of a mutant. It is told by where it is, and of several that read the same in
// a file by which of them it is, as its line moves.
type result struct {
	file, text string
	nth        int
}

// readResults reads what became of the mutants when they were last tested.
func readResults(name string) map[result]outcome {
	results := map[result]outcome{}
	text, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		return results
	}
	check(err)
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 4)
		results[result{file: parts[1], nth: must(strconv.Atoi(parts[2])), text: parts[3]}] = outcome(parts[0])
	}
	return results
}

func writeResults(name string, mutants []*mutant) {
	var b strings.Builder
	for _, m := range mutants {
		fmt.Fprintf(&b, "%s\t%s\t%d\t%s\n", m.outcome, m.file, m.nth, m.text)
	}
	check(os.WriteFile(name, []byte(b.String()), 0o666))
}

// listed are the lines of mutants that live, such as "- match/paths.go:", the code between double
// backquotes, and why no test finds it.
var listed = regexp.MustCompile("(?m)^- (\\S+): `` (.+) ``: .+$")

// leastScore is how many of a hundred mutants are found at the least. Those that none can find count
// too: where they are more than a tenth, the code has bounds and shortcuts that it could do without.
const leastScore = 90

// report writes the score of the mutants into a page, and returns what is wrong: mutants that live and
// that the page doesn't argue for, others that it does, and a score that is too low.
func report(page, name string, mutants []*mutant) (wrong []string) {
	text := string(must(os.ReadFile(page)))
	lives, files := map[string]bool{}, map[string]bool{}
	counted := map[outcome]int{}
	for _, m := range mutants {
		counted[m.outcome]++
		files[m.file] = true
		if m.outcome == lived || m.outcome == notCovered {
			lives[m.file+": `` "+m.text+" ``"] = true
		}
	}
	known := map[string]bool{}
	for _, match := range listed.FindAllStringSubmatch(text, -1) {
		entry := match[1] + ": `` " + match[2] + " ``"
		known[entry] = true
		if files[match[1]] && !lives[entry] {
			wrong = append(wrong, "is found, or isn't there any more: "+entry)
		}
	}
	for _, entry := range sortedKeys(lives) {
		if !known[entry] {
			wrong = append(wrong, "lives: - "+entry)
		}
	}
	found := counted[killed] + counted[timedOut]
	score := 100 * float64(found) / float64(len(mutants))
	if score < leastScore {
		wrong = append(wrong, fmt.Sprintf("the score is %.2f %%, and %d %% is the least", score, leastScore))
	}
	row := fmt.Sprintf("| %s | %d | %d | %d | %d | %.1f %% |", name, len(mutants), counted[killed], counted[timedOut],
		len(mutants)-found, score)
	old := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(name) + ` \|.*$`)
	if !old.MatchString(text) {
		log.Fatalf("%s has no row of %s", page, name)
	}
	check(os.WriteFile(page, []byte(old.ReplaceAllLiteralString(text, row)), 0o666))
	slices.Sort(wrong)
	return wrong
}
