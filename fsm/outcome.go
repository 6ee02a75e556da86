// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"fmt"

	"github.com/hawserdb/hawser"
)

// OutcomeState says what became of a request.
type OutcomeState uint8

const (
	// OutcomeDone says that it was executed.
	OutcomeDone OutcomeState = iota + 1
	// OutcomeNotDone says that it was not executed so far. An attempt that is still on
	// its way may execute it later.
	OutcomeNotDone
	// OutcomeExpired says that too many numbers lie after the one it saw to tell.
	OutcomeExpired
)

// String returns the state in words.
func (o OutcomeState) String() string {
	switch o {
	case OutcomeDone:
		return "done"
	case OutcomeNotDone:
		return "not done"
	case OutcomeExpired:
		return "expired"
	}
	return fmt.Sprintf("outcome %d", uint8(o))
}

// Outcome tells what became of a request.
type Outcome struct {
	State OutcomeState
	// Number is what it took in the chain, 0 unless it is done.
	Number   uint64
	Revision hawser.Revision
	// Version is what a save, rollback or fork made, as it is now.
	Version hawser.Version
	// Moved is what a save has consumed and sent: see [Save.Moved].
	Moved []byte
}

// Outcome tells what became of a request, without executing anything. Expect
// is the condition of a save or rollback; a delete has none but Request.Seen,
// a fork that there is no version. Errors match
// hawser.ErrWrongGeneration and hawser.ErrRequestMismatch.
func (v *View) Outcome(id hawser.AgentID, kind hawser.RequestKind, q Request, expect *uint64) (Outcome, error) {
	if !validAgent(id) {
		return Outcome{}, invalidCommand("outcome", "the agent's name is not valid")
	}
	if q.Generation != 0 && q.Generation != v.state.generation {
		return Outcome{}, wrongGeneration("outcome", id, q.Generation, v.state.generation)
	}
	switch kind {
	case hawser.RequestDelete:
		expect = &q.Seen
	case hawser.RequestFork:
		expect = new(uint64)
	case hawser.RequestSave, hawser.RequestRollback, hawser.RequestTxn, hawser.RequestCutRollback:
	}
	rec, err := v.known(id)
	if err != nil {
		return Outcome{}, err
	}
	var found *chainRecord
	if low := searchFloor(rec.head, q); low < rec.head {
		if found, err = findRequest(v.snap, id, rec.head, low, q.Nonce); err != nil {
			return Outcome{}, err
		}
	}
	switch {
	case found != nil && !found.is(kind, expect):
		return Outcome{}, mismatch("outcome", id, found.number)
	case found != nil:
		out := Outcome{State: OutcomeDone, Number: found.number, Revision: found.revision, Moved: found.moved}
		if kind.MakesVersion() {
			out.Version = visible(id, rec.floor, found)
		}
		return out, nil
	case rec.isExpired(q):
		return Outcome{State: OutcomeExpired}, nil
	}
	return Outcome{State: OutcomeNotDone}, nil
}
