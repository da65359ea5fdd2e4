package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"golang.org/x/tools/go/packages"
)

// instead is what stands in for each operator, in one mutant each.
var instead = map[token.Token][]token.Token{
	token.EQL: {token.NEQ}, token.NEQ: {token.EQL},
	token.LSS: {token.LEQ, token.GEQ}, token.GEQ: {token.GTR, token.LSS},
	token.GTR: {token.GEQ, token.LEQ}, token.LEQ: {token.LSS, token.GTR},
	token.LAND: {token.LOR}, token.LOR: {token.LAND},
	token.ADD: {token.SUB}, token.SUB: {token.ADD},
	token.MUL: {token.QUO}, token.QUO: {token.MUL}, token.REM: {token.MUL},
	token.AND: {token.OR}, token.OR: {token.AND}, token.XOR: {token.AND}, token.AND_NOT: {token.AND},
	token.SHL: {token.SHR}, token.SHR: {token.SHL},
	token.INC: {token.DEC}, token.DEC: {token.INC},
	token.ADD_ASSIGN: {token.SUB_ASSIGN, token.ASSIGN}, token.SUB_ASSIGN: {token.ADD_ASSIGN, token.ASSIGN},
	token.MUL_ASSIGN: {token.QUO_ASSIGN, token.ASSIGN}, token.QUO_ASSIGN: {token.MUL_ASSIGN, token.ASSIGN},
	token.REM_ASSIGN: {token.MUL_ASSIGN, token.ASSIGN},
	token.AND_ASSIGN: {token.OR_ASSIGN, token.ASSIGN}, token.OR_ASSIGN: {token.AND_ASSIGN, token.ASSIGN},
	token.XOR_ASSIGN: {token.AND_ASSIGN, token.ASSIGN}, token.AND_NOT_ASSIGN: {token.AND_ASSIGN, token.ASSIGN},
	token.SHL_ASSIGN: {token.SHR_ASSIGN, token.ASSIGN}, token.SHR_ASSIGN: {token.SHL_ASSIGN, token.ASSIGN},
	token.BREAK: {token.CONTINUE}, token.CONTINUE: {token.BREAK},
}

// A mutant is the code with another operator in one place.
type mutant struct {
	result  // of which the text has «before|after» in place of the operator
	id      int
	pkg     *packages.Package
	path    string // of the file
	at      token.Position
	after   token.Token
	outcome outcome
}

// A site is a node whose operator is replaced, with the mutants that do.
type site struct {
	node    ast.Node
	x, y    ast.Expr // its operands, or nil
	op      token.Token
	typ     string // of its value; empty for statements and what is true or false
	mutants []*mutant
}

// A source is a file that is rewritten to have all of its mutants.
type source struct {
	*rewriter
	pkg   *packages.Package
	name  string
	text  []byte
	sites []*site // by their position, the outer ones first
}

// A rewriter gives the mutants of packages their numbers, and rewrites the packages so that each has
// all of its mutants, of which the number in the variable MUTANT is chosen when a test begins. All are
// compiled and linked once, instead of once for each.
type rewriter struct {
	mutants []*mutant
	seen    map[result]int
	overlay map[string][]byte // what stands in for files
}

// rewrite adds a package's mutants.
func (r *rewriter) rewrite(pkg *packages.Package) {
	aliases := map[string]*types.TypeName{}
	for i, file := range pkg.Syntax {
		s := &source{rewriter: r, pkg: pkg, name: pkg.CompiledGoFiles[i]}
		s.text = must(os.ReadFile(s.name))
		s.find(file, aliases)
		if len(s.sites) > 0 {
			r.overlay[s.name] = []byte(s.render(0, len(s.text), s.sites))
		}
	}
	var added bytes.Buffer
	fmt.Fprintf(&added, "package %s\n\nimport (\n\t\"os\"\n\t\"strconv\"\n", pkg.Name)
	names := sortedKeys(aliases)
	for _, name := range names {
		fmt.Fprintf(&added, "\t%sOf %q\n", name, aliases[name].Pkg().Path())
	}
	added.WriteString(")\n\nvar mutant = func() int { n, _ := strconv.Atoi(os.Getenv(\"MUTANT\")); return n }()\n")
	for _, name := range names {
		fmt.Fprintf(&added, "\ntype %s = %sOf.%s\n", name, name, aliases[name].Name())
	}
	r.overlay[pkg.Dir+"/mutant_of_all.go"] = added.Bytes()
}

// find finds the file's sites.
func (s *source) find(file *ast.File, aliases map[string]*types.TypeName) {
	var path []ast.Node
	ast.Inspect(file, func(n ast.Node) bool {
		if n == nil {
			path = path[:len(path)-1]
			return true
		}
		if d, ok := n.(*ast.GenDecl); ok && d.Tok == token.CONST {
			return false
		}
		if _, ok := n.(*ast.ArrayType); ok {
			return false
		}
		if inConstant(path, s.pkg.TypesInfo) {
			return false
		}
		path = append(path, n)
		if found := s.site(n, path, aliases); found != nil {
			s.sites = append(s.sites, found)
		}
		return true
	})
	sort.SliceStable(s.sites, func(i, j int) bool { return s.sites[i].node.Pos() < s.sites[j].node.Pos() })
}

// inConstant reports whether an expression is a part of a constant one, whose type is the whole's.
func inConstant(path []ast.Node, info *types.Info) bool {
	for _, parent := range slices.Backward(path) {
		switch parent := parent.(type) {
		case *ast.ParenExpr:
			continue
		case *ast.BinaryExpr:
			return info.Types[parent].Value != nil
		case *ast.UnaryExpr:
			return info.Types[parent].Value != nil
		}
		return false
	}
	return false
}

// site is the site that a node is, or nil.
func (s *source) site(n ast.Node, path []ast.Node, aliases map[string]*types.TypeName) *site {
	found := &site{node: n}
	var at token.Pos
	switch n := n.(type) {
	case *ast.BinaryExpr:
		found.x, found.y, found.op, at = n.X, n.Y, n.Op, n.OpPos
		found.typ = s.typeOf(n, aliases)
	case *ast.UnaryExpr:
		if n.Op != token.SUB {
			return nil
		}
		found.y, found.op, at = n.X, n.Op, n.OpPos
		found.typ = s.typeOf(n, aliases)
	case *ast.IncDecStmt:
		found.x, found.op, at = n.X, n.Tok, n.TokPos
	case *ast.AssignStmt:
		if len(n.Lhs) != 1 || len(n.Rhs) != 1 {
			return nil
		}
		found.x, found.y, found.op, at = n.Lhs[0], n.Rhs[0], n.Tok, n.TokPos
	case *ast.BranchStmt:
		found.op, at = n.Tok, n.TokPos
	default:
		return nil
	}
	for _, after := range instead[found.op] {
		if !s.compiles(found, after, path) {
			continue
		}
		m := &mutant{id: len(s.mutants) + 1, pkg: s.pkg, path: s.name, at: s.pkg.Fset.Position(at), after: after}
		m.file, _ = filepath.Rel(must(filepath.Abs(".")), s.name)
		line, column := strings.Split(string(s.text), "\n")[m.at.Line-1], m.at.Column-1
		m.text = strings.TrimSpace(line[:column] + "«" + found.op.String() + "|" + after.String() + "»" +
			line[column+len(found.op.String()):])
		s.seen[m.result]++
		m.nth = s.seen[m.result]
		s.mutants = append(s.mutants, m)
		found.mutants = append(found.mutants, m)
	}
	if found.mutants == nil {
		return nil
	}
	return found
}

// typeOf names the type of an expression that isn't true or false. One of another package has
// a name in the added file, as the file may not import the package.
func (s *source) typeOf(e ast.Expr, aliases map[string]*types.TypeName) string {
	t := types.Default(s.pkg.TypesInfo.Types[e].Type)
	if b, ok := t.Underlying().(*types.Basic); ok && b.Info()&types.IsBoolean != 0 {
		return ""
	}
	if named, ok := t.(interface{ Obj() *types.TypeName }); ok {
		if obj := named.Obj(); obj.Pkg() != nil && obj.Pkg() != s.pkg.Types {
			alias := "mutant" + obj.Pkg().Name() + obj.Name()
			aliases[alias] = obj
			return alias
		}
	}
	return types.TypeString(t, types.RelativeTo(s.pkg.Types))
}

// compiles reports whether the code is Go with the operator after in place of the site's.
func (s *source) compiles(at *site, after token.Token, path []ast.Node) bool {
	switch after {
	case token.ASSIGN, token.INC, token.DEC:
		return true
	case token.BREAK: // behind an endless loop a function may lack its return
		return !endless(path)
	case token.CONTINUE: // in a loop, and not in a switch alone
		return inLoop(path, at.node.(*ast.BranchStmt))
	}
	op := strings.TrimSuffix(after.String(), "=")
	if after >= token.EQL {
		op = after.String()
	}
	text := s.textOf(at.y)
	if at.x != nil {
		text = s.textOf(at.x) + op + "(" + text + ")"
	} else {
		text = op + text
	}
	if e, ok := at.node.(ast.Expr); ok && at.typ != "" {
		if t, ok := types.Default(s.pkg.TypesInfo.Types[e].Type).Underlying().(*types.Basic); ok {
			text = t.Name() + "(" + text + ")" // a constant is to be one of the type
		}
	}
	_, err := types.Eval(s.pkg.Fset, s.pkg.Types, at.node.Pos(), text)
	return err == nil
}

// endless reports whether the innermost loop has no condition.
func endless(path []ast.Node) bool {
	for _, n := range slices.Backward(path) {
		switch n := n.(type) {
		case *ast.ForStmt:
			return n.Cond == nil
		case *ast.RangeStmt:
			return false
		}
	}
	return false
}

// inLoop reports whether a break may as well be a continue.
func inLoop(path []ast.Node, branch *ast.BranchStmt) bool {
	for i, n := range slices.Backward(path) {
		switch n.(type) {
		case *ast.ForStmt, *ast.RangeStmt:
			if branch.Label == nil {
				return true
			}
			if l, ok := path[i-1].(*ast.LabeledStmt); ok && l.Label.Name == branch.Label.Name {
				return true
			}
		case *ast.FuncLit, *ast.FuncDecl:
			return false
		}
	}
	return false
}

func (s *source) offset(p token.Pos) int { return s.pkg.Fset.Position(p).Offset }

func (s *source) textOf(n ast.Node) string {
	return string(s.text[s.offset(n.Pos()):s.offset(n.End())])
}

// render is the text from start to end with the sites rewritten that are in it.
func (s *source) render(start, end int, sites []*site) string {
	var b strings.Builder
	for i := 0; i < len(sites); i++ {
		from, to := s.offset(sites[i].node.Pos()), s.offset(sites[i].node.End())
		if from < start || to > end {
			continue
		}
		inner := sites[i+1:]
		for n, in := range inner {
			if s.offset(in.node.Pos()) >= to {
				inner = inner[:n]
				break
			}
		}
		b.Write(s.text[start:from])
		b.WriteString(s.expand(sites[i], inner))
		start = to
		i += len(inner)
	}
	b.Write(s.text[start:end])
	return b.String()
}

// expand is a site with all of its mutants.
func (s *source) expand(at *site, inner []*site) string {
	as := func(op token.Token, text func(ast.Expr) string) string {
		switch n := at.node.(type) {
		case *ast.BranchStmt:
			if n.Label != nil {
				return op.String() + " " + n.Label.Name
			}
			return op.String()
		case *ast.IncDecStmt:
			return text(at.x) + op.String()
		}
		if at.x == nil {
			return op.String() + text(at.y)
		}
		return text(at.x) + " " + op.String() + " " + text(at.y)
	}
	plain := func(e ast.Expr) string { return s.textOf(e) }
	whole := as(at.op, func(e ast.Expr) string {
		return s.render(s.offset(e.Pos()), s.offset(e.End()), inner)
	})
	var b strings.Builder
	switch at.node.(type) {
	case *ast.BranchStmt:
		fmt.Fprintf(&b, "if mutant == %d { %s } else { %s }", at.mutants[0].id, as(at.mutants[0].after, plain), whole)
	case *ast.IncDecStmt, *ast.AssignStmt:
		b.WriteString("func() { switch mutant { ")
		for _, m := range at.mutants {
			fmt.Fprintf(&b, "case %d: %s; ", m.id, as(m.after, plain))
		}
		fmt.Fprintf(&b, "default: %s } }()", whole)
	default:
		if at.typ == "" {
			b.WriteString("(")
			for _, m := range at.mutants {
				fmt.Fprintf(&b, "mutant == %d && (%s) || ", m.id, as(m.after, plain))
			}
			for _, m := range at.mutants {
				fmt.Fprintf(&b, "mutant != %d && ", m.id)
			}
			fmt.Fprintf(&b, "(%s))", whole)
			break
		}
		fmt.Fprintf(&b, "func() %s { switch mutant { ", at.typ)
		for _, m := range at.mutants {
			fmt.Fprintf(&b, "case %d: return %s; ", m.id, as(m.after, plain))
		}
		fmt.Fprintf(&b, "}; return %s }()", whole)
	}
	return b.String()
}
