// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package nemesis

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/hawserdb/hawser/jepsen/rig"
)

// upgrade stops nodes one by one and starts them with the other program: some of
// them at once, the others when the fault is over, so that both serve together
// meanwhile. The next time it goes the other way.
func upgrade() Fault {
	return Fault{Name: "upgrade", Previous: true, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) (Injury, error) {
		nodes, program := rng.Perm(r.Size()), r.Other()
		first := 1 + rng.IntN(r.Size())
		ctx, cancel := context.WithTimeout(ctx, healTime)
		defer cancel()
		for _, i := range nodes[:first] {
			if r.Stuck(i) {
				continue // another fault has it; its turn comes later
			}
			if err := r.Switch(ctx, i, program); err != nil {
				return Injury{}, err
			}
		}
		finish := func(ctx context.Context) error {
			for _, i := range nodes {
				if r.Runs(i, program) {
					continue
				}
				if err := r.Switch(ctx, i, program); err != nil {
					return err
				}
				if err := r.Ready(ctx, i); err != nil && !r.Refuses(i) {
					return err
				}
			}
			r.Settle(program)
			return nil
		}
		proof := func() error {
			for i := range r.Size() {
				if !r.Runs(i, program) {
					return fmt.Errorf("%s does not run %s", names([]int{i}), program)
				}
			}
			return nil
		}
		what := fmt.Sprintf("%s, and then the others, go on with %s", names(nodes[:first]), program)
		return Injury{What: what, Heal: func(context.Context) error { return startAgain(r, nodes) }, Finish: finish, Proof: proof}, nil
	}}
}
