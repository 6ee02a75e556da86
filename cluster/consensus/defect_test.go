// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/halt"
)

// panicking is a machine with a defect.
type panicking struct{ Machine }

func (panicking) Apply([]fsm.Entry) ([]fsm.Applied, error) { panic("a defect") }

// A defect of the machine stops the replica and leaves its directory usable:
// every replica of the cluster meets it at the same entry.
func TestMachineFSM_DefectIsNoDamage(t *testing.T) {
	dir := t.TempDir()
	var halted error
	l := newLatch(dir, time.Minute, testLogger(t), func(err error) { halted = err })
	f := &machineFSM{machine: panicking{}, latch: l, dir: dir}
	if answers := f.ApplyBatch([]*raft.Log{{Index: 1, Term: 1, Type: raft.LogCommand}}); len(answers) != 1 {
		t.Fatalf("%d answers", len(answers))
	}
	if stopped, ok := errors.AsType[*halt.Error](halted); !ok || stopped.Reason != halt.Engine {
		t.Errorf("halted with %v", halted)
	}
	if err := CheckQuarantine(dir); err != nil {
		t.Errorf("the directory is closed: %v", err)
	}
}
