// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// note is what a recorder tells the one that follows it: an operation that has
// begun, or has ended. Number is 0 for one whose beginning was not told.
type note struct {
	Number int64 `json:"number,omitempty"`
	Begun  bool  `json:"begun,omitempty"`
	Op     Op    `json:"op"`
}

// Told returns the recorder of a process of its own. It tells everything to out
// before it goes on, so that nothing is lost when the process is killed. Begin is
// the beginning of the run on the machine's clock; no two processes may have the
// same numbers, so theirs come after first.
func Told(out io.Writer, begin time.Duration, first int64) *Recorder {
	r := &Recorder{begin: begin, open: map[*Op]int64{}, notes: json.NewEncoder(out)}
	r.values.Store(first)
	return r
}

// Beginning is the beginning of the run on the machine's clock.
func (r *Recorder) Beginning() time.Duration { return r.begin }

func (r *Recorder) noteLocked(n note) {
	if r.notes != nil {
		r.err = errors.Join(r.err, r.notes.Encode(n))
	}
}

// Follow records what another process tells, until that ends. What it had begun
// is Unknown then. A process that was killed may have told half a line.
func (r *Recorder) Follow(in io.Reader) error {
	lines := json.NewDecoder(in)
	open := map[int64]Op{}
	for {
		var n note
		err := lines.Decode(&n)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			end := r.Now()
			for _, op := range open {
				op.Return = end
				r.Add(op)
			}
			return nil
		case err != nil:
			return fmt.Errorf("history: what a process tells: %w", err)
		case n.Begun:
			open[n.Number] = n.Op
		default:
			delete(open, n.Number)
			r.Add(n.Op)
		}
	}
}
