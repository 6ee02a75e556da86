// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// Claim: a state stands for its value and no other, whatever its size, and large
// ones are as large as they say.
func TestContent_StandsForItsValue(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, value := range []string{"c1-1", large(rng) + "c1-2", "new140000-c1-3", "same200000-c1-4", "same-c1-5", "newer-c1-6"} {
		state := content("a", value)
		if got := valueOf("a", state); got != value {
			t.Errorf("%q becomes %q", value, got)
		}
		if got := valueOf("b", state); got == value {
			t.Errorf("%q is the same of another agent", value)
		}
		state[len(state)-2]++
		if got := valueOf("a", state); got == value || !strings.Contains(got, "no state") {
			t.Errorf("%q is the same with another byte", value)
		}
	}
	if a, b := content("a", "same200000-x"), content("a", "same200000-y"); len(a) < 200_000 || !bytes.Equal(a[100:], b[100:]) {
		t.Errorf("states of %d and %d bytes have nothing in common", len(a), len(b))
	}
}
