// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package history records what clients of a cluster asked for and were told,
// and when, as a file of JSON lines that checkers read.
//
// Times are of the machine's monotonic clock, counted from the beginning of the
// run, also in processes of their own whose records one recorder follows: what it
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

	"golang.org/x/sys/unix"

	"github.com/hawserdb/hawser"
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
	// Rollback makes Number, of which Value was known, the next version again.
	Rollback Kind = "rollback"
	// Delete removes the agent if its head is Expect, with all versions up to it; the
	// next number is that of the delete, and no version's.
	Delete Kind = "delete"
	// Restore reads the head, or Number if that is not 0: Value, Version, Revision.
	Restore Kind = "restore"
	// Own holds the claim of the agent, or the lock, with the number Epoch from Call
	// to Return. It is Unknown if the process of its client was killed.
	Own Kind = "own"
	// Transfer moves money between the accounts Agents; Value is the transaction.
	// It failed if it was aborted.
	Transfer Kind = "transfer"
	// Total reads the sum of all accounts at one revision: Sum.
	Total Kind = "total"
	// Renew renews the lease Value, or opens it; one that is OK was confirmed, by
	// the leader of Term.
	Renew Kind = "renew"
	// Granted is that a watcher was told of a grant of the claim or lock Agent: its
	// number Epoch, to the lease Value of the instance To.
	Granted Kind = "granted"
	// Ended is that of the end of one, and Reason why.
	Ended Kind = "ended"
	// Write writes Value to what the lock Agent guards, showing Epoch; it failed if
	// it was refused.
	Write Kind = "write"
	// Judged is what the guarded resource itself made of a write.
	Judged Kind = "judged"
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
	// HandOver takes the claim of the agent from its owner for the instance To, which
	// waited for it under Lease. Value ends the reason of which watchers are told.
	HandOver Kind = "hand over"
	// Unclaim takes the claim of the agent from its owner, if it has one, and opens the
	// agent to saves without a claim. Value is as of HandOver.
	Unclaim Kind = "unclaim"
	// Semaphore says that Number clients may hold the lock Agent at a time. One of
	// which nobody says so is held by one.
	Semaphore Kind = "semaphore"
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
	// Machine is when a save was executed by the cluster's clock, in unix nanoseconds.
	Machine int64 `json:"machine,omitempty"`
	// Stale: the read was allowed to be old, but not older than the revision Least.
	Stale bool   `json:"stale,omitempty"`
	Least uint64 `json:"least,omitempty"`
	// Conflict: it failed because the head was Version and not Expect.
	Conflict bool `json:"conflict,omitempty"`
	// Epoch is that of the claim under which it was done, 0 for none.
	Epoch uint64 `json:"epoch,omitempty"`
	// Deposed: the claim had been given back, and a save under it must be refused.
	Deposed bool `json:"deposed,omitempty"`
	// To is the instance that a claim or lock is granted to, or handed over to, and Lease
	// the one under which it waited when that was seen.
	To    string `json:"to,omitempty"`
	Lease string `json:"lease,omitempty"`
	// Sure is when it was last certain that it owned it, 0 for never after Call.
	Sure time.Duration `json:"sure,omitempty"`
	// Paused: the client stood still for a while, and could not notice an end.
	Paused bool `json:"paused,omitempty"`
	// TTL is that of the lease, Term the one in which the answer was given.
	TTL    time.Duration `json:"ttl,omitempty"`
	Term   uint64        `json:"term,omitempty"`
	Reason string        `json:"reason,omitempty"`
	// Agents take part, Sum is what they have, and Txns are the transactions that
	// say in what was read that they have made it.
	Agents []string `json:"agents,omitempty"`
	Sum    int      `json:"sum,omitempty"`
	Txns   []string `json:"txns,omitempty"`
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
	// Code is that of the error of a save or restore.
	Code hawser.Code `json:"code,omitempty"`
}

// Writes reports whether the operation makes a revision of its own.
func (op Op) Writes() bool { return slices.Contains(writes, op.Kind) }

// MakesVersion reports whether it makes Version of Agent, with Value.
func (op Op) MakesVersion() bool { return op.Kind == Save || op.Kind == Rollback }

var writes = []Kind{Save, Rollback, Send, Fork, SaveAll, Cut, RollbackTo}

// Recorder records operations. It is safe for concurrent use.
type Recorder struct {
	begin time.Duration // on the machine's clock

	values atomic.Int64

	mu     sync.Mutex
	ops    []Op
	open   map[*Op]int64 // their numbers
	begun  int64
	closed bool
	file   *os.File
	out    *bufio.Writer
	notes  *json.Encoder // of a recorder whose records another one follows
	err    error
}

// Create returns a Recorder that also writes to a new file.
func Create(path string) (*Recorder, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return &Recorder{begin: machineTime(), open: map[*Op]int64{}, file: f, out: bufio.NewWriter(f)}, nil
}

// machineTime is the same for all processes, and nobody sets it.
func machineTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(fmt.Sprintf("history: the machine's monotonic clock: %v", err))
	}
	return time.Duration(t.Nano())
}

// Now is the time on the recorder's clock.
func (r *Recorder) Now() time.Duration { return machineTime() - r.begin }

// Began is the wall clock at the beginning of the recorder's.
func (r *Recorder) Began() time.Time { return time.Now().Add(-r.Now()) }

// Next returns a number that nobody has got before.
func (r *Recorder) Next() int64 { return r.values.Add(1) }

// Begin notes that an operation is about to be sent. The caller fills in what
// becomes of it and gives it to End.
func (r *Recorder) Begin(op Op) *Op {
	op.Call, op.Outcome = r.Now(), Unknown
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun++
	r.open[&op] = r.begun
	r.noteLocked(note{Number: r.begun, Begun: true, Op: op})
	return &op
}

// End notes that an operation was answered, or given up.
func (r *Recorder) End(op *Op) {
	op.Return = r.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	number, ok := r.open[op]
	if !ok {
		return // it came too late: the history is complete
	}
	delete(r.open, op)
	if r.noteLocked(note{Number: number, Op: *op}); r.notes == nil {
		r.writeLocked(*op)
	}
}

// Record notes something that was seen now, and is no call.
func (r *Recorder) Record(op Op) {
	op.Call, op.Return = r.Now(), 0
	r.Add(op)
}

// Add notes an operation that has ended; without a Return it did so at its call.
func (r *Recorder) Add(op Op) {
	op.Return = max(op.Return, op.Call)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.noteLocked(note{Op: op}); r.notes == nil {
		r.writeLocked(op)
	}
}

func (r *Recorder) writeLocked(op Op) {
	if r.closed {
		return
	}
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

// Ended returns the operations that have ended.
func (r *Recorder) Ended() []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ops)
}

// Close ends the file and returns all operations in the order of their calls.
// Those that did not end are Unknown. What comes later is not recorded.
func (r *Recorder) Close() ([]Op, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for op := range r.open {
		r.writeLocked(*op)
	}
	r.open, r.closed = map[*Op]int64{}, true
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
