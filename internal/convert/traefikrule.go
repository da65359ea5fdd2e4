package convert

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

// A traefikTerm is a matcher of a rule, such as Host(`api.example.com`), or what isn't to
// be matched.
type traefikTerm struct {
	name string // in lower case
	args []string
	not  bool
}

// maxTerms bounds the alternatives of a rule, and maxRule its length.
const (
	maxTerms = 200
	maxRule  = 10_000
)

// readRule reads a rule as alternatives, each of which has matchers that are all to match.
// A rule has the form of an expression in Go, and Traefik reads it with Go's parser too.
// tooLong tells that it is right, and has too many alternatives.
func readRule(rule string) (alternatives [][]traefikTerm, ok, tooLong bool) {
	if len(rule) > maxRule {
		return nil, false, true
	}
	expr, err := parser.ParseExpr(rule)
	if err != nil {
		return nil, false, false
	}
	alternatives, ok = readTerms(expr, false)
	return alternatives, ok, ok && len(alternatives) == 0
}

// readTerms reads a part of a rule. Of one with too many alternatives there are none.
func readTerms(expr ast.Expr, not bool) (alternatives [][]traefikTerm, ok bool) {
	switch e := expr.(type) {
	case *ast.ParenExpr:
		return readTerms(e.X, not)
	case *ast.UnaryExpr:
		if e.Op == token.NOT {
			return readTerms(e.X, !not)
		}
	case *ast.BinaryExpr:
		if e.Op != token.LAND && e.Op != token.LOR {
			return nil, false
		}
		left, leftOK := readTerms(e.X, not)
		right, rightOK := readTerms(e.Y, not)
		if !leftOK || !rightOK {
			return nil, false
		}
		if len(left)*len(right) == 0 || len(left)*len(right) > maxTerms || len(left)+len(right) > maxTerms {
			return nil, true
		}
		if (e.Op == token.LOR) != not { // not of an "and" is an "or"
			return append(left, right...), true
		}
		for _, l := range left {
			for _, r := range right {
				alternatives = append(alternatives, slices.Concat(l, r))
			}
		}
		return alternatives, true
	case *ast.CallExpr:
		term, ok := readTerm(e)
		term.not = not
		return [][]traefikTerm{{term}}, ok
	}
	return nil, false
}

// readTerm reads a matcher.
func readTerm(e *ast.CallExpr) (term traefikTerm, ok bool) {
	name, ok := e.Fun.(*ast.Ident)
	if !ok {
		return term, false
	}
	term.name = strings.ToLower(name.Name)
	for _, arg := range e.Args {
		literal, ok := arg.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return term, false
		}
		text, err := strconv.Unquote(literal.Value)
		if err != nil {
			return term, false
		}
		term.args = append(term.args, text)
	}
	return term, len(term.args) > 0
}

// routesOf are the routes of an alternative of a rule.
func routesOf(at *document.Node, terms []traefikTerm) (routes []spreadRoute) {
	one := spreadRoute{envoyRoute: envoyRoute{from: at, path: envoyPath{kind: everyPath}}}
	condition := func(words string) {
		if !slices.Contains(one.conditions, words) {
			one.conditions = append(one.conditions, words)
		}
	}
	var paths []envoyPath
	for _, term := range terms {
		hosts, own := term.hosts(at), term.paths()
		switch {
		case hosts != nil && !term.not && one.hosts == nil:
			one.hosts = hosts
		case hosts != nil:
			condition("host")
		case own != nil && term.not:
			one.except = append(one.except, own...)
		case own != nil && paths == nil:
			paths = own
		case own != nil:
			condition("path")
		default:
			condition(term.words())
		}
	}
	if paths == nil {
		return []spreadRoute{one}
	}
	for _, path := range paths {
		other := one
		other.path = path
		routes = append(routes, other)
	}
	return routes
}

// words say what a matcher matches by beside host and path.
func (m traefikTerm) words() string {
	words := map[string]string{"method": "method", "header": "headers", "headers": "headers",
		"headerregexp": "headers", "headersregexp": "headers", "query": "query parameters",
		"queryregexp": "query parameters", "clientip": "the client's address"}[m.name]
	if words == "" {
		return m.name
	}
	return words
}

// hosts are the hosts of a matcher of hosts; nil of another one.
func (m traefikTerm) hosts(at *document.Node) (hosts []hostPattern) {
	for _, arg := range m.args {
		switch m.name {
		case "host", "hostheader":
			hosts = append(hosts, globPattern(at, arg, true))
		case "hostregexp":
			hosts = append(hosts, hostRegexp(at, arg))
		}
	}
	return hosts
}

var (
	// templatePart is a variable of the matchers of Traefik 2, such as {sub:[a-z]+}.
	traefikVariable = regexp.MustCompile(`\{[A-Za-z_][A-Za-z0-9_]*(?::((?:[^{}]|\{[0-9,]+\})*))?\}`)
	// subdomainsOf is a regex of the subdomains of a domain.
	subdomainsOf = regexp.MustCompile(`^(\^)?\(*(?:\?:)?(\.|\[\^\.\]|\[\\w-\]|\[a-zA-Z0-9-\]|\[a-z0-9-\]|\[0-9a-z-\])[+*]\)*` +
		`\\\.([a-z0-9-]+(?:\\\.[a-z0-9-]+)*)\$?$`)
)

// hostRegexp is the hosts of a regex: where it is one of subdomains, as match.hosts has it.
func hostRegexp(at *document.Node, expr string) hostPattern {
	if traefikVariable.MatchString(expr) {
		expr = "^" + variables(expr) + "$"
	}
	switch expr {
	case ".+", ".*", "^.+$", "^.*$", "^(.+)$", "^(.*)$":
		return everyHostPattern(at)
	}
	search, err := regexp.Compile("(?i)" + expr)
	if err != nil {
		return regexPattern(at, expr)
	}
	if found := subdomainsOf.FindStringSubmatch(expr); found != nil {
		p := globPattern(at, "*."+strings.ReplaceAll(found[3], `\.`, "."), found[1] != "" && found[2] != ".")
		p.matches = search.MatchString
		return p
	}
	p := regexPattern(at, "(?i)"+expr)
	p.text = expr
	return p
}

// variables is the regex of a text with variables.
func variables(text string) string {
	var b strings.Builder
	from := 0
	for _, found := range traefikVariable.FindAllStringSubmatchIndex(text, -1) {
		b.WriteString(regexp.QuoteMeta(text[from:found[0]]))
		if found[2] < 0 {
			b.WriteString("[^/.]+")
		} else {
			b.WriteString("(" + text[found[2]:found[3]] + ")")
		}
		from = found[1]
	}
	return b.String() + regexp.QuoteMeta(text[from:])
}

// paths are the paths of a matcher of paths; nil of another one.
func (m traefikTerm) paths() (paths []envoyPath) {
	for _, arg := range m.args {
		variable := traefikVariable.MatchString(arg)
		switch {
		case m.name == "pathregexp":
			paths = append(paths, searchedPath(arg))
		case m.name == "path" && variable:
			paths = append(paths, pathRegex(variables(arg)))
		case m.name == "path":
			paths = append(paths, envoyPath{kind: exactPath, text: arg})
		case m.name == "pathprefix" && variable:
			paths = append(paths, pathRegex(variables(arg)+".*"))
		case m.name == "pathprefix" && arg == "/":
			paths = append(paths, envoyPath{kind: everyPath})
		case m.name == "pathprefix":
			paths = append(paths, envoyPath{kind: textPrefix, text: arg})
		}
	}
	return paths
}

// searchedPath is the path of a regex that is looked for anywhere in it.
func searchedPath(expr string) envoyPath {
	whole := expr
	if !strings.HasPrefix(whole, "^") {
		whole = ".*" + whole
	}
	if !strings.HasSuffix(whole, "$") || strings.HasSuffix(whole, `\$`) {
		whole += ".*"
	}
	return pathRegex(whole)
}
