// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"
)

// rowsAtOnce is how many rows of a long table are laid out together.
const rowsAtOnce = 1000

// rows is a table that may be longer than memory: it is laid out and written
// so many rows at a time, and its columns only get wider. Cells are escaped.
type rows struct {
	widths []int
	held   [][]string
	begun  bool
}

func newRows(header ...string) *rows {
	r := &rows{widths: make([]int, len(header))}
	r.hold(header)
	return r
}

// empty reports whether no row was added yet.
func (r *rows) empty() bool { return !r.begun }

// add adds a row and writes those that are complete.
func (r *rows) add(w io.Writer, cells ...string) error {
	r.begun = true
	r.hold(cells)
	if len(r.held) < rowsAtOnce {
		return nil
	}
	return r.flush(w)
}

func (r *rows) hold(cells []string) {
	escaped := make([]string, len(cells))
	for i, cell := range cells {
		escaped[i] = escape(cell)
		r.widths[i] = max(r.widths[i], utf8.RuneCountInString(escaped[i]))
	}
	r.held = append(r.held, escaped)
}

// flush writes what was added, if anything was.
func (r *rows) flush(w io.Writer) error {
	if !r.begun {
		return nil
	}
	var text strings.Builder
	for _, row := range r.held {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", r.widths[i]-utf8.RuneCountInString(cell)+2))
		}
		text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	r.held = r.held[:0]
	if _, err := io.WriteString(w, text.String()); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// streamJSON writes the object head with one more member, a list whose items
// are written as they come. An error in between leaves the object open: what
// was written is no JSON then, so that nobody takes it for the whole.
func (p *program) streamJSON(head any, member string, items iter.Seq2[any, error]) error {
	text, err := safeJSON(head, "")
	if err != nil {
		return err
	}
	text = strings.TrimSuffix(text, "\n}")
	between := ",\n"
	if text == "{}" {
		text, between = "{", "\n"
	}
	_, err = fmt.Fprintf(p.stdout, "%s%s  %q: [", text, between, member)
	n := 0
	for item, itemErr := range items {
		if itemErr != nil {
			return itemErr
		}
		text, encodeErr := safeJSON(item, "    ")
		if encodeErr != nil {
			return encodeErr
		}
		between := ","
		if n == 0 {
			between = ""
		}
		if n++; err == nil {
			_, err = fmt.Fprintf(p.stdout, "%s\n    %s", between, text)
		}
		if err != nil {
			break
		}
	}
	end := "\n  ]\n}\n"
	if n == 0 {
		end = "]\n}\n"
	}
	if err == nil {
		_, err = io.WriteString(p.stdout, end)
	}
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}
