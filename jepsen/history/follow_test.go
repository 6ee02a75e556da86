// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"
)

// Claim: of a process that was killed all is recorded that it had told: what had
// ended as it ended, what had begun as Unknown; and its clock is the recorder's.
func TestRecorder_FollowsAProcess(t *testing.T) {
	t.Parallel()
	r, err := Create(filepath.Join(t.TempDir(), "history"))
	if err != nil {
		t.Fatal(err)
	}
	var pipe bytes.Buffer
	child := Told(&pipe, r.Beginning(), 100)
	if n := child.Next(); n != 101 {
		t.Errorf("the first number is %d", n)
	}
	before := r.Now()
	done, open, half := child.Begin(Op{Kind: Save, Value: "done"}), child.Begin(Op{Kind: Save, Value: "open"}), child.Begin(Op{Kind: Save, Value: "half"})
	done.Outcome = OK
	child.End(done)
	child.Record(Op{Kind: Ended, Value: "seen", Outcome: OK})
	told := pipe.Len()
	half.Outcome = OK
	child.End(half)
	if err := r.Follow(bytes.NewReader(pipe.Bytes()[:told+10])); err != nil {
		t.Fatal(err)
	}
	_ = open
	ops, err := r.Close()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Outcome{"done": OK, "open": Unknown, "half": Unknown, "seen": OK}
	for _, op := range ops {
		if op.Outcome != want[op.Value] || op.Call < before || op.Return < op.Call || op.Return > r.Now()+time.Millisecond {
			t.Errorf("%+v", op)
		}
		delete(want, op.Value)
	}
	if len(want) > 0 {
		t.Errorf("not there: %v", want)
	}
	if err := r.Follow(bytes.NewBufferString("nonsense\n")); err == nil {
		t.Error("nonsense is followed")
	}
}
