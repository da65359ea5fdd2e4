package document

import (
	"cmp"
	"slices"
	"strings"
)

// Finding is something wrong with the value; its place is called by a path.
func (n *Node) Finding(path, what, instead string) *Finding {
	return &Finding{File: n.file, Offset: n.Offset, Path: path, What: what, Instead: instead}
}

// Warning is something doubtful about the value.
func (n *Node) Warning(path, what, instead string) *Finding {
	f := n.Finding(path, what, instead)
	f.Warning = true
	return f
}

// Sort sorts findings by their files and places.
func Sort(findings []*Finding) {
	slices.SortStableFunc(findings, func(a, b *Finding) int {
		return cmp.Or(strings.Compare(a.File.Name, b.File.Name), cmp.Compare(a.Offset, b.Offset))
	})
}
