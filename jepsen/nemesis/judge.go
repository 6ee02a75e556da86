// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package nemesis

import (
	"context"
	"math/rand/v2"
	"syscall"

	"github.com/hawserdb/hawser/jepsen/rig"
)

// pauseJudge stops the process of the guarded resource with SIGSTOP. What is written
// to it meanwhile waits in its sockets: it is judged when the writer has given up, and
// the lock may be another's. Freeze has seen that it stands still.
func pauseJudge() Fault {
	return Fault{Name: "pause-judge", Inject: func(_ context.Context, r *rig.Rig, _ *rand.Rand) (Injury, error) {
		if r.Judge == nil {
			return nothing("no resource is guarded")
		}
		process := r.Judge.Process()
		if err := rig.Freeze(process); err != nil {
			return Injury{}, err
		}
		return Injury{
			What: "SIGSTOP of the resource that locks guard",
			Heal: func(context.Context) error { return process.Signal(syscall.SIGCONT) },
		}, nil
	}}
}
