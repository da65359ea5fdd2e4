package manifest

import (
	"slices"
	"strconv"
	"strings"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/internal/document"
)

// Alike reports whether configurations are all the same.
func Alike(plugins []*Plugin) bool {
	return !slices.ContainsFunc(plugins, func(p *Plugin) bool { return p.Configuration != plugins[0].Configuration })
}

// At is the configuration that a place in their file belongs to, the last that begins
// before it; nil if there is none.
func At(plugins []*Plugin, at document.Position) (found *Plugin) {
	last := 0
	for _, p := range plugins {
		last = max(last, p.file.Position(len(p.file.Text)).Line)
		if !p.Begin().After(at) && (found == nil || !found.Begin().After(p.Begin())) {
			found = p
		}
	}
	if at.Line > last {
		return nil
	}
	return found
}

// Places are where configurations begin, with their names.
func Places(plugins []*Plugin) string {
	var list []string
	for _, p := range plugins {
		place := "line " + p.Place(plugins)
		if p.Name != "" {
			place += " (" + p.Name + ")"
		}
		list = append(list, place)
	}
	return strings.Join(list, ", ")
}

// Place is where the configuration begins: its line, and its column if another one begins
// in that line.
func (p *Plugin) Place(among []*Plugin) string {
	begin := p.Begin()
	sameLine := func(other *Plugin) bool { return other != p && other.Begin().Line == begin.Line }
	if slices.ContainsFunc(among, sameLine) {
		return begin.String()
	}
	return strconv.Itoa(begin.Line)
}
