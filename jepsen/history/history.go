// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package history records what clients of a cluster asked for and were told,
// and when, as a file of JSON lines that checkers read.
//
// Times are of one monotonic clock, that of the process that records: what it
// says came before something else did.
package history

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Outcome is what a client knows of an operation.
type Outcome string

const (
	// OK was executed.
	OK Outcome = "ok"
	// Failed was not executed, and never will be.
	Failed Outcome = "fail"
	// Unknown may have been executed, or be executed later, once or never.
	Unknown Outcome = "info"
)

// Kind is what an operation does.
type Kind string

const (
	// Save saves Value as the next version; Version and Revision are what it made.
	Save Kind = "save"
	// Restore reads the head, or Number if that is not 0: Value, Version, Revision.
	Restore Kind = "restore"
	// Own holds the claim of the agent, with the epoch Version, from Call to Return.
	Own Kind = "own"
	// Transfer moves money between the accounts Agents; Value is the transaction.
	// It failed if it was aborted.
	Transfer Kind = "transfer"
	// Total reads the sum of all accounts at one revision: Sum.
	Total Kind = "total"
	// Send sends the message Value to the agent; Version is its number in the inbox.
	Send Kind = "send"
	// Receive reads the oldest messages that wait in the agent's inbox, Values with
	// their Numbers: those of one moment if there is a Revision, else as they come.
	Receive Kind = "receive"
	// Left reads all messages that wait in the agent's inbox, after the last write.
	Left Kind = "left"
	// Run begins the effect Effect, runs it with Key if it is told to, and records
	// its end. Value is the end that it was told, or recorded.
	Run Kind = "run"
	// Begin is the beginning of Run and the call; a save records the end.
	Begin Kind = "begin"
	// Finish records Value as the end of an effect.
	Finish Kind = "finish"
	// Pay is a request to the payment server, with Key; Value is its receipt, ""
	// if it was refused.
	Pay Kind = "pay"
	// Journal reads an effect after the last write: Value is its end, "" if it is
	// open, Number how often it was begun.
	Journal Kind = "journal"
	// Rollback makes Number the head again, as Version.
	Rollback Kind = "rollback"
	// Fork makes the agent of the head of Agents[0].
	Fork Kind = "fork"
	// SaveAll saves Value for all of Agents.
	SaveAll Kind = "save all"
	// Heads reads the versions Numbers that Agents have at one revision.
	Heads Kind = "heads"
	// Cut makes the cut Value of the versions Numbers of Agents.
	Cut Kind = "cut"
	// ShowCut reads the cut Value; Revision is the cut's.
	ShowCut Kind = "show cut"
	// RollbackTo rolls Agents back to the cut Value, by new versions Numbers.
	RollbackTo Kind = "roll back to"
	// Archive writes all agents below Agent to a file, as of Revision; Value names it.
	Archive Kind = "archive"
)

// Op is one operation of a client.
type Op struct {
	Client int    `json:"client"`
	Kind   Kind   `json:"kind"`
	Agent  string `json:"agent,omitempty"`
	// Number is the version that is asked for, 0 for the head.
	Number uint64 `json:"number,omitempty"`
	// Expect is the head on which a save depends, nil for any.
	Expect *uint64 `json:"expect,omitempty"`
	// Value stands for the content; two saves never have the same.
	Value string `json:"value,omitempty"`
	// Version was made or read; 0 of a read is that there is none.
	Version uint64 `json:"version,omitempty"`
	// Revision is that of the write, or the one that a read reflects.
	Revision uint64 `json:"revision,omitempty"`
	// Stale: the read was allowed to be old.
	Stale bool `json:"stale,omitempty"`
	// Conflict: it failed because the head was Version and not Expect.
	Conflict bool `json:"conflict,omitempty"`
	// Epoch is that of the claim under which it was done, 0 for none.
	Epoch uint64 `json:"epoch,omitempty"`
	// Deposed: the claim had been given back, and a save under it must be refused.
	Deposed bool `json:"deposed,omitempty"`
	// Agents take part, and Sum is what they have.
	Agents []string `json:"agents,omitempty"`
	Sum    int      `json:"sum,omitempty"`
	// Effect is the id of an effect, of which the end is Values[0] if a save
	// records it. Key is the one with which it was run, "" if it was not.
	Effect string `json:"effect,omitempty"`
	Key    string `json:"key,omitempty"`
	// Values are messages that are read, or that a save consumes; it sends its own
	// Value to Agents. Numbers are theirs in the inbox, or of Agents. Of a restore they are the
	// effects that it told of, each followed by its end.
	Values  []string `json:"values,omitempty"`
	Numbers []uint64 `json:"numbers,omitempty"`

	Call    time.Duration `json:"call"`
	Return  time.Duration `json:"return,omitempty"`
	Outcome Outcome       `json:"outcome"`
	Error   string        `json:"error,omitempty"`
}

// Recorder records operations. It is safe for concurrent use.
type Recorder struct {
	begin time.Time

	values atomic.Int64

	mu   sync.Mutex
	ops  []Op
	open map[*Op]bool
	file *os.File
	out  *bufio.Writer
	err  error
}

// Create returns a Recorder that also writes to a new file.
func Create(path string) (*Recorder, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return &Recorder{begin: time.Now(), open: map[*Op]bool{}, file: f, out: bufio.NewWriter(f)}, nil
}

// Now is the time on the recorder's clock.
func (r *Recorder) Now() time.Duration { return time.Since(r.begin) }

// Next returns a number that nobody has got before.
func (r *Recorder) Next() int64 { return r.values.Add(1) }

// Begin notes that an operation is about to be sent. The caller fills in what
// becomes of it and gives it to End.
func (r *Recorder) Begin(op Op) *Op {
	op.Call, op.Outcome = r.Now(), Unknown
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[&op] = true
	return &op
}

// End notes that an operation was answered, or given up.
func (r *Recorder) End(op *Op) {
	op.Return = r.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, op)
	r.writeLocked(*op)
}

func (r *Recorder) writeLocked(op Op) {
	r.ops = append(r.ops, op)
	line, err := json.Marshal(op)
	if err == nil {
		_, err = r.out.Write(append(line, '\n'))
	}
	r.err = errors.Join(r.err, err)
}

// Count returns the number of operations that have ended.
func (r *Recorder) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ops)
}

// Close ends the file and returns all operations in the order of their calls.
// Those that did not end are Unknown.
func (r *Recorder) Close() ([]Op, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for op := range r.open {
		r.writeLocked(*op)
	}
	r.open = map[*Op]bool{}
	err := errors.Join(r.err, r.out.Flush(), r.file.Close())
	slices.SortStableFunc(r.ops, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	return r.ops, err
}

// Read reads a history that a Recorder has written.
func Read(in io.Reader) ([]Op, error) {
	var ops []Op
	lines := json.NewDecoder(in)
	for {
		var op Op
		switch err := lines.Decode(&op); {
		case errors.Is(err, io.EOF):
			slices.SortStableFunc(ops, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
			return ops, nil
		case err != nil:
			return nil, fmt.Errorf("history: operation %d: %w", len(ops)+1, err)
		}
		ops = append(ops, op)
	}
}
