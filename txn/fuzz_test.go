// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package txn_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/txn"
)

// Claim: nothing that can be said to a transaction, good or bad, breaks it: no
// panic, no invariant, no error but a refusal, no rule of oracle_test.go or
// model_test.go, no decision that changes, and what was taken does nothing when
// it comes again. Method: the bytes are one transaction of up to three agents
// and what it is told, four bytes an input.
func FuzzStep(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 1, 0, 1, 0, 1, 0, 2, 0, 1, 3, 0, 0, 0}) // all vote yes, one acknowledges
	f.Add([]byte{5, 0, 0, 0, 1, 0, 1, 0, 1, 2, 0, 0, 1, 3, 0, 0, 1}) // manual: two yes, commit
	f.Add([]byte{5, 0, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 90, 4, 0, 1, 0})
	f.Add([]byte{6, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 2, 0, 0, 3, 0, 0, 4, 0, 3, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || len(data) > 1+4*64 {
			return // as much as a transaction can need
		}
		agents := "abc"[:1+int(data[0]&3)%3]
		x, err := txn.Begin(t1, ids(agents), data[0]&4 != 0, 100, 10)
		if err != nil {
			t.Fatal(err)
		}
		w := world{}
		w.enqueue(0, agents)
		now := int64(10)
		for b := range slices.Chunk(data[1:], 4) {
			if len(b) < 4 {
				return
			}
			now += int64(b[3] & 127)
			x = fuzzStep(t, &w, x, fuzzInput(b), now)
		}
	})
}

// fuzzInput makes an input of any kind, for one of three agents or a stranger.
func fuzzInput(b []byte) txn.Input {
	agent := id("abcd"[b[1]&3 : b[1]&3+1])
	reason := [...]string{"", "why", "because", strings.Repeat("long", 65)}
	switch b[0] % 6 {
	case 0:
		return txn.Ballot{Agent: agent, Yes: true, Epoch: uint64(b[2] & 1), Digest: hawser.Hash{b[2] & 2}, Quiet: b[2]&4 != 0, Reason: reason[b[2]>>6]}
	case 1:
		return txn.Ballot{Agent: agent, Epoch: uint64(b[2] & 1), Digest: hawser.Hash{b[2] & 2}, Quiet: b[2]&4 != 0, Reason: reason[b[2]>>6]}
	case 2:
		return txn.Decide{Commit: b[1]&1 == 0, Reason: reason[b[2]&3]}
	case 3:
		return txn.Acknowledge{Agent: agent, Committed: b[2]&1 != 0}
	case 4:
		return txn.Resolve{Agent: agent, Reason: reason[b[2]&3]}
	}
	return txn.Expire{}
}

// fuzzStep takes a step and returns the transaction after it.
func fuzzStep(t *testing.T, w *world, before txn.Txn, in txn.Input, at int64) txn.Txn {
	t.Helper()
	kept := clone(before)
	after, actions, refused := txn.Step(before, in, at)
	if freeze(before) != freeze(kept) {
		t.Fatalf("%#v at %d changed its argument to %+v", in, at, before)
	}
	rules := in
	if refused != nil && hawser.CodeOf(refused) == hawser.CodeInvalid {
		rules, refused = txn.Expire{}, nil // of what is not valid the time counts
	}
	if err := checkStep(&before, &after, rules, at, actions, refused); err != nil {
		t.Fatalf("%#v at %d to %+v: %v", in, at, before, err)
	}
	if err := w.do(0, actions); err != nil {
		t.Fatalf("%#v at %d to %+v: %v", in, at, before, err)
	}
	if err := w.check(0, &after); err != nil {
		t.Fatalf("%#v at %d to %+v: %v", in, at, before, err)
	}
	again, actions, repeated := txn.Step(after, in, at+1)
	if after.State.Decided() || at+1 < after.Deadline {
		if freeze(again) != freeze(after) || len(actions) > 0 || hawser.CodeOf(repeated) != hawser.CodeOf(refused) && rules == in {
			t.Fatalf("%#v came again at %d to %+v and gave %+v, %v, %v", in, at+1, after, again, actions, repeated)
		}
	}
	return after
}
