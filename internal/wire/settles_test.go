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
	kinds := []hawser.RequestKind{hawser.RequestSave, hawser.RequestDelete, hawser.RequestRollback, hawser.RequestFork}
	want := map[hawser.Code]bool{hawser.CodeFenced: true, hawser.CodeRequestMismatch: true}
	for _, kind := range kinds {
		want[hawser.CodeNotFound] = kind == hawser.RequestDelete // there is no source yet, but it may come
		want[hawser.CodeVersionGone] = kind == hawser.RequestRollback || kind == hawser.RequestFork
		want[hawser.CodeMessageGone] = kind == hawser.RequestSave
		for _, code := range hawser.Codes() {
			if got := Settles(kind, &hawser.Error{Code: code}); got != want[code] {
				t.Errorf("%v, %v: %v", kind, code, got)
			}
		}
	}
	three := uint64(3)
	if !Settles(hawser.RequestSave, &hawser.ConflictError{Expected: &three, Head: hawser.Version{Number: 4}}) {
		t.Error("a permanent conflict does not settle")
	}
	if Settles(hawser.RequestSave, &hawser.ConflictError{Expected: new(uint64), Head: hawser.Version{Number: 4}}) {
		t.Error("a conflict that a delete can undo settles")
	}
}
