package cors

import "github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"

// A Problem is one thing wrong, or doubtful, in what an operator wrote.
type Problem = problem.Problem

// A Reporter takes the problems of what is compiled, as they are found.
type Reporter = problem.Reporter

// A Limit says how many problems were found, and which of them are described.
type Limit = problem.Limit

// MaxProblems is how many errors, and how many warnings, are described. Further ones
// are only counted.
const MaxProblems = problem.Max
