// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser_test

import (
	"crypto/sha256"
	"testing"

	"github.com/hawserdb/hawser"
)

// Claim: a hash prints as sha256sum would print it.
func TestHash_String(t *testing.T) {
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if got := hawser.Hash(sha256.Sum256([]byte("abc"))).String(); got != want {
		t.Errorf("prints %s, want %s", got, want)
	}
}

// Claim: the states of a version have the words that lists show.
func TestVersionState_String(t *testing.T) {
	for state, want := range map[hawser.VersionState]string{
		hawser.VersionLive: "live", hawser.VersionGone: "gone", hawser.VersionBad: "bad", 0: "unknown", 9: "unknown",
	} {
		if got := state.String(); got != want {
			t.Errorf("state %d prints as %q, want %q", state, got, want)
		}
	}
}
