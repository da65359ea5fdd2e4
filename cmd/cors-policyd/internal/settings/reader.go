package settings

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/sqltext"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/problem"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/spelling"
)

// fields are what an object may have, and what reads each.
type fields map[string]func(v *document.Node, path string)

// object reads an object. Fields that aren't known, and what is given twice, are errors.
func (r *reader) object(n *document.Node, path string, known fields) {
	if n.Kind != document.Object {
		if path == "" {
			path = "configuration"
		}
		r.fail(n, problem.WrongType, path, "is not an object", "write {…}")
		return
	}
	names := slices.Sorted(maps.Keys(known))
	given := map[string]bool{}
	for _, m := range n.Members {
		i := slices.IndexFunc(names, func(name string) bool { return spelling.Is(m.Name, name) })
		switch {
		case i < 0:
			r.failAt(m.Offset, problem.UnknownField, join(path, problem.Printable(m.Name, '?')), "is no known field",
				"the fields are "+strings.Join(names, ", "))
		case given[names[i]]:
			r.failAt(m.Offset, problem.Duplicate, join(path, names[i]), "is given twice", "leave one out")
		default:
			given[names[i]] = true
			known[names[i]](m.Value, join(path, names[i]))
		}
	}
}

func join(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

// text reads a string that isn't empty.
func (r *reader) text(n *document.Node, path string) string {
	switch {
	case n.Kind != document.String:
		r.fail(n, problem.WrongType, path, "is not a string", `write "…"`)
	case n.Text == "":
		r.fail(n, problem.Missing, path, "is empty", "write a value, or leave it out")
	}
	return n.String()
}

func (r *reader) boolean(n *document.Node, path string) bool {
	if n.Kind != document.Bool {
		r.fail(n, problem.WrongType, path, "is not a boolean", "write true or false")
	}
	return n.Scalar() == "true"
}

func (r *reader) number(n *document.Node, path string, least, most int) int {
	i, err := strconv.Atoi(n.Scalar())
	if n.Kind != document.Number || err != nil || i < least || i > most {
		r.fail(n, problem.OutOfRange, path, "is no number from "+strconv.Itoa(least)+" to "+strconv.Itoa(most), "write one")
	}
	return i
}

// duration reads a number of seconds, or a duration.
func (r *reader) duration(n *document.Node, path string, least, most time.Duration) time.Duration {
	text := n.Scalar()
	if n.Kind == document.Number {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	switch {
	case n.Kind != document.Number && n.Kind != document.String || err != nil:
		r.fail(n, problem.WrongType, path, "is not a duration", `write a duration, such as "10s"`)
	case d < least || d > most:
		r.fail(n, problem.OutOfRange, path, text+" is out of range", "write "+least.String()+" to "+most.String())
	}
	return d
}

func (r *reader) address(n *document.Node, path string) string {
	address := r.text(n, path)
	if _, _, err := net.SplitHostPort(address); err != nil && address != "" {
		r.fail(n, problem.InvalidValue, path, problem.Quote(address)+" is no address", `write a host and a port, such as "127.0.0.1:8081"`)
	}
	return address
}

// query reads an SQL query with named parameters.
func (r *reader) query(n *document.Node, path string, parameters ...string) string {
	text := r.text(n, path)
	for _, name := range sqltext.Parse(text).Names() {
		if !slices.Contains(parameters, name) {
			instead := "no parameter is known here; write two colons for a cast"
			if len(parameters) > 0 {
				instead = "the parameters are :" + strings.Join(parameters, ", :")
			}
			r.fail(n, problem.UnknownField, path, "has the parameter "+problem.Quote(":"+name), instead)
		}
	}
	return text
}
