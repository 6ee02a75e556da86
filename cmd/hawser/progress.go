// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	// progressEvery is how often a bar is drawn, progressWidth how wide it is.
	progressEvery = 100 * time.Millisecond
	progressWidth = 30
)

// progress is a bar on a terminal. Where there is none it does nothing. It is
// not safe for concurrent use.
type progress struct {
	out   io.Writer // nil: no terminal
	what  string
	drawn time.Time
	used  bool
}

// progress returns a bar for something that takes a while; clear it before
// anything else is printed.
func (p *program) progress(what string) *progress {
	if !isTerminal(p.stderr) {
		return &progress{what: what}
	}
	return &progress{out: p.stderr, what: what}
}

// show draws how much of total is done, with a note behind it. A total of 0 is
// not known.
func (b *progress) show(done, total int64, note string) {
	if b.out == nil || time.Since(b.drawn) < progressEvery {
		return
	}
	b.drawn, b.used = time.Now(), true
	bar := ""
	if total > 0 {
		done = min(done, total)
		full := int(done * progressWidth / total)
		bar = fmt.Sprintf(" [%s%s] %3d %%", strings.Repeat("#", full), strings.Repeat(".", progressWidth-full), done*100/total)
	}
	say(b.out, "\r\x1b[K%s%s %s", b.what, bar, note)
}

// clear removes the bar.
func (b *progress) clear() {
	if b.used {
		say(b.out, "\r\x1b[K")
		b.used = false
	}
}

// byteCount returns n with a unit.
func byteCount(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	value, i := float64(n), 0
	for value >= 1024 && i < len(units)-1 {
		value, i = value/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, units[i])
}
