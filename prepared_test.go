// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hawserdb/hawser"
)

// Claim: a prepared id comes back from its printed form, which has under 200
// bytes, PostgreSQL's limit, whatever the names are; nothing else is taken for
// one.
func TestPreparedID_RoundTrips(t *testing.T) {
	cluster := [16]byte{0xab, 1, 2, 3, 4}
	agent := hawser.AgentID{Namespace: strings.Repeat("n", 64), Name: strings.Repeat("a", 512)}
	id := hawser.NewPreparedID(cluster, 1<<63, hawser.TxnID{Namespace: agent.Namespace, ID: strings.Repeat("t", 64)}, agent, 1<<63)
	if got, err := hawser.ParsePreparedID(id.String()); err != nil || got != id || len(id.String()) > 150 {
		t.Errorf("%q: %+v, %v", id, got, err)
	}
	if other := (hawser.AgentID{Namespace: "default", Name: "b"}); !id.Of(cluster, agent) || id.Of(cluster, other) || id.Of([16]byte{}, agent) {
		t.Error("Of does not tell whose it is")
	}
	for _, s := range []string{
		"", "other", "hawser:::::", "hawser:ab010203:1:t:0011223344556677", "hawser:ab010203:1:t:0011223344556677:1:2", "hawser:AB010203:1:t:0011223344556677:1",
		"hawser:ab010203:01:t:0011223344556677:1", "hawser:ab010203:1:t t:0011223344556677:1", "hawser:ab0102:1:t:0011223344556677:1", "hawser:ab010203:1:t:001122334455667:1",
	} {
		if _, err := hawser.ParsePreparedID(s); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("%q: %v", s, err)
		}
	}
}
