// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"testing"

	"github.com/hawserdb/hawser"
)

func TestEnum(t *testing.T) {
	for value, want := range map[int32]hawser.EffectPolicy{
		1: 1, 255: 255, 256: 0, 257: 0, -1: 0, -255: 0, 1<<31 - 1: 0,
	} {
		if got := enum[hawser.EffectPolicy](value); got != want {
			t.Errorf("%d became %d, not %d", value, got, want)
		}
	}
}
