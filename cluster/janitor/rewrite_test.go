// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"runtime"
	"testing"

	"github.com/hawserdb/hawser/fsm"
)

// Claim: building a keyframe takes no second state besides what it is packed to.
// Method: all that is allocated for a state that packs to little is less than it.
func TestJanitor_KeyframeMemory(t *testing.T) {
	m := newFake()
	id := agentID("a")
	m.states[id] = make([]byte, 64<<20)
	j := &Janitor{cfg: m.config(), pace: newPace()}
	var before, after runtime.MemStats
	for range 2 { // the first fills the pools
		runtime.ReadMemStats(&before)
		content, parts, err := j.keyframe(fsm.Rewrite{Agent: id, Number: 9})
		if err != nil || content.Size != 64<<20 || len(content.Data)+len(parts) == 0 {
			t.Fatalf("%+v, %v", content, err)
		}
		runtime.ReadMemStats(&after)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 40<<20 {
		t.Errorf("%d bytes for a state of 64 MiB", got)
	}
}
