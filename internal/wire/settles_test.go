// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"testing"

	"github.com/hawserdb/hawser"
)

// Of all codes only those of the state machine that no later state can undo
// settle an open outcome; a conflict does if it is permanent.
func TestSettles_EveryCode(t *testing.T) {
	want := map[hawser.Code]bool{hawser.CodeNotFound: true, hawser.CodeFenced: true, hawser.CodeRequestMismatch: true}
	for _, code := range hawser.Codes() {
		if got := Settles(&hawser.Error{Code: code}); got != want[code] {
			t.Errorf("%v: %v", code, got)
		}
	}
	three := uint64(3)
	if !Settles(&hawser.ConflictError{Expected: &three, Head: hawser.Version{Number: 4}}) {
		t.Error("a permanent conflict does not settle")
	}
	if Settles(&hawser.ConflictError{Expected: new(uint64), Head: hawser.Version{Number: 4}}) {
		t.Error("a conflict that a delete can undo settles")
	}
}
