package cors

import "github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"

// A Problem is one thing wrong, or doubtful, in what an operator wrote.
type Problem = problem.Problem

// MaxProblems is how many errors, and how many warnings, are described. Further ones
// are only counted.
const MaxProblems = problem.Max
