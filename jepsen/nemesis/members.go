// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package nemesis

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/jepsen/rig"
)

// transfers gives the leadership from one node to another, again and again.
func transfers() Fault {
	return Fault{Name: "transfers", Inject: func(ctx context.Context, r *rig.Rig, _ *rand.Rand) (Injury, error) {
		conn, err := client.Dial(client.Config{Endpoints: r.Endpoints(), RequestTimeout: 2 * time.Second})
		if err != nil {
			return Injury{}, err
		}
		over, done := make(chan struct{}), make(chan struct{})
		made := 0
		go func() {
			defer close(done)
			for !waits(over, 300*time.Millisecond) {
				calling, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
				if err := conn.Cluster().TransferLeadership(calling, ""); err == nil {
					made++
				}
				cancel()
			}
		}()
		heal := func(context.Context) error {
			close(over)
			<-done
			return conn.Close()
		}
		proof := func() error {
			if made == 0 {
				return errors.New("no transfer succeeded")
			}
			return nil
		}
		return Injury{What: "the leadership is handed on every 300 ms", Heal: heal, Proof: proof}, nil
	}}
}
