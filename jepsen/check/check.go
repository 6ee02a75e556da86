// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package check tells whether a history of operations is one that Hawser's
// guarantees allow. It knows nothing of how the cluster works: each checker
// states a promise, and names the operations that break it.
package check

import (
	"fmt"

	"github.com/hawserdb/hawser/jepsen/history"
)

// Verdict is what one checker found.
type Verdict struct {
	Name string `json:"name"`
	// Checked counts what was looked at: 0 proves nothing, and is not good.
	Checked int `json:"checked"`
	// Violations are in words, maxViolations at most.
	Violations []string `json:"violations,omitempty"`
	// Note says what else was seen, and is allowed.
	Note string `json:"note,omitempty"`
	// Inconclusive is why it could not tell; "" if it could.
	Inconclusive string `json:"inconclusive,omitempty"`
	// Picture is an HTML page that shows a violation, nil for none.
	Picture []byte `json:"-"`
}

// Good reports whether the promise was kept and that could be seen.
func (v Verdict) Good() bool { return len(v.Violations) == 0 && v.Inconclusive == "" && v.Checked > 0 }

const maxViolations = 20

func (v *Verdict) add(format string, args ...any) {
	if len(v.Violations) < maxViolations {
		v.Violations = append(v.Violations, fmt.Sprintf(format, args...))
	}
}

func (v *Verdict) note(text string) {
	if v.Note != "" {
		text = v.Note + "; " + text
	}
	v.Note = text
}

// describe shows an operation in a violation.
func describe(op history.Op) string {
	s := fmt.Sprintf("client %d %s %s", op.Client, op.Kind, op.Agent)
	if op.Number != 0 {
		s += fmt.Sprintf("@%d", op.Number)
	}
	if op.Expect != nil {
		s += fmt.Sprintf(" expecting %d", *op.Expect)
	}
	if op.Epoch != 0 {
		s += fmt.Sprintf(" under %d", op.Epoch)
	}
	if op.Reason != "" {
		s += fmt.Sprintf(" (%s)", op.Reason)
	}
	if op.To != "" {
		s += " to " + op.To
	}
	if op.Lease != "" {
		s += fmt.Sprintf(" with the lease %s", op.Lease)
	}
	if op.Sure != 0 {
		s += fmt.Sprintf(" (certain until %.3fs)", op.Sure.Seconds())
	}
	if op.Effect != "" {
		s += fmt.Sprintf(" effect %q with key %q", op.Effect, op.Key)
	}
	if len(op.Values) > 0 {
		s += fmt.Sprintf(" of %q", op.Values)
	}
	if len(op.Numbers) > 0 {
		s += fmt.Sprintf(" numbers %d", op.Numbers)
	}
	return s + fmt.Sprintf(" [%.3fs-%.3fs] %s: version %d %q, revision %d %s",
		op.Call.Seconds(), op.Return.Seconds(), op.Outcome, op.Version, op.Value, op.Revision, op.Error)
}
