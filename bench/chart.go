package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// A panel is a column of bars, one a row of the chart.
type panel struct {
	title  string
	values []float64 // NaN for no bar
	errors []float64 // half of what is uncertain, if known
	notes  []string  // behind each figure, if there are any
	most   float64   // the end of the scale; the largest value if zero
}

// add adds a bar, or none for nil.
func (p *panel) add(d *estimate) {
	if d == nil {
		d = &estimate{value: math.NaN()}
	}
	p.values, p.errors = append(p.values, d.value), append(p.errors, d.error)
}

// Sizes of a chart, in pixels.
const (
	labelWidth = 184
	panelsRoom = 840 // shared by the panels
	widest     = 250
	figureRoom = 50 // of a panel, for the figure to the right of the longest bar
	noteRoom   = 45 // for what is behind it
	digitWidth = 8
	panelGap   = 24
	rowHeight  = 26
	topHeight  = 92
)

// chartStyle has colours that are legible on light and on dark.
const chartStyle = `<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.note { fill: #59636e; font-size: 12px }
.head { font-weight: 600 }
.bar { fill: #8c959f }
.ours { fill: #0969da }
.line { stroke: #59636e }
.error { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.note { fill: #9198a1 }
.bar { fill: #656c76 }
.ours { fill: #4493f8 }
.line { stroke: #9198a1 }
.error { stroke: #f0f6fc }
}
</style>
`

// bar draws horizontal bars: a row for each label, those that begin with accent in
// another colour, and a column for each panel.
func bar(title, note, accent string, labels []string, panels []panel) string {
	panelWidth := min(widest, panelsRoom/len(panels))
	width := labelWidth + len(panels)*(panelWidth+panelGap)
	height := topHeight + rowHeight*len(labels) + 12
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">
<title>%s</title>
%s`, width, height, width, height, html.EscapeString(title), chartStyle)
	write := func(x, y float64, class, anchor, s string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n",
			x, y, class, anchor, html.EscapeString(s))
	}
	write(16, 28, "title", "start", title)
	write(16, 48, "note", "start", note)
	for i, label := range labels {
		write(labelWidth-12, topHeight+rowHeight*(float64(i)+0.5)+4, "", "end", label)
	}
	for n, p := range panels {
		left := float64(labelWidth + n*(panelWidth+panelGap))
		write(left, topHeight-12, "head", "start", p.title)
		room := figureRoom
		if p.notes != nil {
			room += noteRoom
		}
		scale := float64(panelWidth-room) / max(p.most, p.max())
		for i, v := range p.values {
			if math.IsNaN(v) {
				continue
			}
			class, middle, length := "bar", topHeight+rowHeight*(float64(i)+0.5), max(v, 0)*scale
			if strings.HasPrefix(labels[i], accent) {
				class = "ours"
			}
			fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%d" rx="2" class="%s"/>`+"\n",
				left, middle-8, length, 16, class)
			end := left + length
			if p.errors != nil {
				low, high := left+max(v-p.errors[i], 0)*scale, left+max(v+p.errors[i], 0)*scale
				fmt.Fprintf(&b, `<path d="M%.1f %.1fH%.1f" class="error"/>`+"\n", low, middle, high)
				end = max(end, high)
			}
			figure := fmt.Sprintf("%.1f", math.Round(v*10)/10+0)
			write(end+5, middle+4, "", "start", figure)
			if p.notes != nil {
				write(end+12+digitWidth*float64(len(figure)), middle+4, "note", "start", p.notes[i])
			}
		}
		fmt.Fprintf(&b, `<path d="M%.1f %dV%d" class="line"/>`+"\n", left, topHeight, topHeight+rowHeight*len(labels))
	}
	return b.String() + "</svg>\n"
}

// max is the largest value of a panel, with what is uncertain about it.
func (p *panel) max() float64 {
	most := 0.001
	for i, v := range p.values {
		if p.errors != nil {
			v += p.errors[i]
		}
		if !math.IsNaN(v) {
			most = max(most, v)
		}
	}
	return most
}

// sameScale makes the bars of panels comparable.
func sameScale(panels []panel) {
	for i := range panels {
		for _, p := range panels {
			panels[i].most = max(panels[i].most, p.max())
		}
	}
}
