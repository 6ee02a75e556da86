// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"testing"

	"github.com/hawserdb/hawser/fsm"
)

// A machine that is discarded keeps what it had flushed and no more, and one
// that is closed everything.
func TestMachine_Discard(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(*fsm.Machine) error
		want uint64
	}{
		"discarded": {(*fsm.Machine).Discard, 2},
		"closed":    {(*fsm.Machine).Close, 3},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			m, err := fsm.Open(dir, fsm.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for index := uint64(1); index <= 3; index++ {
				if _, err := m.Apply([]fsm.Entry{command(index, 1, newSave(agentID("a"), "x", "state"))}); err != nil {
					t.Fatal(err)
				}
				if index == 2 {
					if err := m.Flush(); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := tt.end(m); err != nil {
				t.Fatal(err)
			}
			m, err = fsm.Open(dir, fsm.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := m.Applied(); got != tt.want {
				t.Errorf("applied %d, want %d", got, tt.want)
			}
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
