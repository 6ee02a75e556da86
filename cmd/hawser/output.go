// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf16"

	"github.com/urfave/cli/v2"
)

// The output formats.
const (
	outputTable = "table"
	outputJSON  = "json"
)

func checkOutput(_ *cli.Context, format string) error {
	if format != outputTable && format != outputJSON {
		return usageErrorf("--output %q: table or json", format)
	}
	return nil
}

// wantsJSON reports whether the result goes out as JSON.
func wantsJSON(c *cli.Context) bool { return c.String(flagOutput) == outputJSON }

// writeJSON writes one indented JSON value. JSON escapes ASCII control
// characters itself; the others that a terminal could obey are escaped here.
func (p *program) writeJSON(value any) error {
	text, err := safeJSON(value, "")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(p.stdout, text); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// safeJSON returns value as JSON that a terminal may show, every line but the
// first after prefix.
func safeJSON(value any, prefix string) (string, error) {
	text, err := json.MarshalIndent(value, prefix, "  ")
	if err != nil {
		return "", fmt.Errorf("write the result: %w", err)
	}
	var safe strings.Builder
	for _, r := range string(text) { // the only ones outside strings are line breaks
		switch {
		case r == '\n' || !dangerous(r):
			safe.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&safe, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&safe, `\u%04x`, r)
		}
	}
	return safe.String(), nil
}

// table collects rows and prints them in columns. Cells are escaped.
type table struct{ rows [][]string }

func newTable(header ...string) *table { return &table{rows: [][]string{header}} }

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) write(w io.Writer) error {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range t.rows {
		escaped := make([]string, len(row))
		for i, cell := range row {
			escaped[i] = escape(cell)
		}
		if _, err := fmt.Fprintln(columns, strings.Join(escaped, "\t")); err != nil {
			return fmt.Errorf("write the result: %w", err)
		}
	}
	if err := columns.Flush(); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// fields is a table of two columns without a header, for one thing.
func fields(w io.Writer, pairs ...string) error {
	t := &table{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			t.add(pairs[i], pairs[i+1])
		}
	}
	return t.write(w)
}

// say tells a person something beside the result. Where that cannot be
// written, nobody reads it, which is no reason to fail.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// plural returns "1 agent", "2 agents".
func plural[N int | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
