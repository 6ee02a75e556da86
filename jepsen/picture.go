// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hawserdb/hawser/jepsen/history"
	"github.com/hawserdb/hawser/jepsen/nemesis"
)

// picture is a run over time: how many operations had which outcome in each
// slot, and which faults were there.
type picture struct {
	Report        *Report
	Width, Height float64
	Bars          []bar
	Rows          []row
	// Text is what is printed.
	Text    string
	Seconds []tick
}

type bar struct {
	X, Y, Width, Height float64
	Outcome             history.Outcome
	Count               int
}

type row struct {
	Y      float64
	Name   string
	Faults []span
}

type span struct {
	X, Width float64
	Event    nemesis.Event
}

type tick struct {
	X      float64
	Second int
}

const (
	pictureWidth = 1100.0
	labelWidth   = 160.0
	chartHeight  = 160.0
	rowHeight    = 18.0
	slots        = 200
)

// Draw writes the report as a page with a picture.
func (r *Report) Draw(w io.Writer) error {
	end := time.Second
	for _, op := range r.Ops {
		end = max(end, op.Return)
	}
	for _, e := range r.Events {
		end = max(end, e.End)
	}
	x := func(t time.Duration) float64 { return labelWidth + (pictureWidth-labelWidth)*float64(t)/float64(end) }
	var text strings.Builder
	r.Print(&text)
	p := picture{Report: r, Width: pictureWidth, Text: text.String()}
	p.bars(r.Ops, end, x)
	byFault := map[string][]nemesis.Event{}
	for _, e := range r.Events {
		byFault[e.Fault] = append(byFault[e.Fault], e)
	}
	for i, name := range slices.Sorted(maps.Keys(byFault)) {
		row := row{Y: chartHeight + 20 + rowHeight*float64(i), Name: name}
		for _, e := range byFault[name] {
			row.Faults = append(row.Faults, span{X: x(e.Begin), Width: max(2, x(e.End)-x(e.Begin)), Event: e})
		}
		p.Rows = append(p.Rows, row)
	}
	p.Height = chartHeight + 40 + rowHeight*float64(len(p.Rows))
	for s := 0; time.Duration(s)*time.Second <= end; s += max(1, int(end/time.Second)/20) {
		p.Seconds = append(p.Seconds, tick{x(time.Duration(s) * time.Second), s})
	}
	return page.Execute(w, p)
}

// bars counts outcomes by the time of the answers.
func (p *picture) bars(ops []history.Op, end time.Duration, x func(time.Duration) float64) {
	outcomes := []history.Outcome{history.OK, history.Failed, history.Unknown}
	var counts [slots + 1][3]int
	most := 1
	for _, op := range ops {
		slot := &counts[slots*op.Return/end]
		slot[slices.Index(outcomes, op.Outcome)]++
		most = max(most, slot[0]+slot[1]+slot[2])
	}
	for i, slot := range counts {
		y := chartHeight
		for k, n := range slot {
			height := chartHeight * float64(n) / float64(most)
			if y -= height; n > 0 {
				left := x(end * time.Duration(i) / slots)
				p.Bars = append(p.Bars, bar{left, y, (pictureWidth - labelWidth) / slots, height, outcomes[k], n})
			}
		}
	}
}

var page = template.Must(template.New("page").Parse(`<!doctype html>
<meta charset="utf-8"><title>Hawser under faults</title>
<style>
body { font: 14px sans-serif; margin: 2em } svg text { font-size: 11px } pre { white-space: pre-wrap }
.ok { fill: #7a7 } .fail { fill: #cc8 } .info { fill: #c55 } .fault { fill: #99b } .useless { fill: #ddd }
.broken { color: #a00 } .tick { stroke: #ddd }
</style>
<h1>Hawser under faults</h1>
<p>Seed {{.Report.Seed}}, nodes {{.Report.Level}}. Again: <code>go run ./jepsen {{.Report.Plan}}</code></p>
<p>Operations by the time of their answer: <span style="color:#585">done</span>, <span style="color:#885">not done</span>, <span style="color:#a33">unknown</span>. Below the faults; grey ones had no effect that was seen.</p>
<svg width="{{.Width}}" height="{{.Height}}">
{{range .Seconds}}<line class="tick" x1="{{.X}}" x2="{{.X}}" y1="0" y2="100%"/><text x="{{.X}}" y="175">{{.Second}} s</text>
{{end}}{{range .Bars}}<rect class="{{.Outcome}}" x="{{.X}}" y="{{.Y}}" width="{{.Width}}" height="{{.Height}}"><title>{{.Count}} {{.Outcome}}</title></rect>
{{end}}{{range .Rows}}{{$y := .Y}}<text x="0" y="{{.Y}}" dy="13">{{.Name}}</text>
{{range .Faults}}<rect class="{{if .Event.Error}}useless{{else}}fault{{end}}" x="{{.X}}" y="{{$y}}" width="{{.Width}}" height="14"><title>{{.Event.What}} {{.Event.Error}}</title></rect>
{{end}}{{end}}</svg>
<pre{{if not .Report.Good}} class="broken"{{end}}>{{.Text}}</pre>
`))
