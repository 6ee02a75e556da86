// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"fmt"
	"testing"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/internal/fakecluster"
)

// One agent saves a history whose every step changes a little, against the
// in-memory cluster: what the client and gRPC cost.
func BenchmarkSave(b *testing.B) {
	for _, size := range []int{1 << 10, 250 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			cluster := fakecluster.Start(1)
			defer cluster.Stop()
			c, err := client.Dial(client.Config{Endpoints: cluster.Endpoints(), DialOptions: cluster.DialOptions()})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			a := c.Agent("a")
			state := text(size)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for n := 0; b.Loop(); n++ {
				copy(state[(n*7919)%(size-16):], fmt.Sprintf("step %9d", n))
				if _, err := a.Save(b.Context(), state); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// text returns n bytes that pack as well as the states of agents do.
func text(n int) []byte {
	var state []byte
	for i := 0; len(state) < n; i++ {
		state = fmt.Appendf(state, `{"step":%d,"role":"tool","content":"result %x of the call"}`, i, i*i*7919)
	}
	return state[:n]
}
