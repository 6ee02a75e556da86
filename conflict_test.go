// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser_test

import (
	"testing"

	"github.com/hawserdb/hawser"
)

// Claim: only a conflict that no later state can undo is permanent.
func TestConflictError_Permanent(t *testing.T) {
	number := func(n uint64) *uint64 { return &n }
	for name, tt := range map[string]struct {
		expected *uint64
		head     uint64
		want     bool
	}{
		"no condition known":              {nil, 5, false},
		"must not exist, but does":        {number(0), 5, false},
		"the head is newer":               {number(3), 5, true},
		"the expected version is gone":    {number(3), 0, true},
		"the expected version is to come": {number(9), 5, false},
	} {
		e := &hawser.ConflictError{Expected: tt.expected, Head: hawser.Version{Number: tt.head}}
		if got := e.Permanent(); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
