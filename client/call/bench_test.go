// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call_test

import (
	"testing"
	"time"

	"github.com/hawserdb/hawser/client/call"
)

// BenchmarkDo is what a call costs that succeeds at once, beside what it does.
func BenchmarkDo(b *testing.B) {
	for name, cfg := range map[string]call.Config{
		"plain": {}, "rate": {PerSecond: 1e9}, "hedge": {Hedge: time.Minute}, "shared": {Shared: &board{}},
	} {
		b.Run(name, func(b *testing.B) {
			p, err := call.New(cfg)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := call.Do(b.Context(), p, "model", works, call.Idempotent()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
