// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/hawserdb/hawser/client/agent"
)

// Claim: an agent is put into quarantine and released by hand, both with a reason,
// and both are among its events.
func TestProcesses_Quarantine(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 1)
	if out := f.want(t, 0, "", "agent", "events", "a", "-o", "json").stdout; strings.TrimSpace(out) != "[]" {
		t.Errorf("events of one that nothing was decided about: %s", out)
	}
	f.want(t, 2, "", "agent", "quarantine", "a")
	f.want(t, 1, "", "agent", "release", "a", "--reason", "it is not in there")
	f.want(t, 0, "", "agent", "quarantine", "a", "--reason", "spends too much")
	f.want(t, 0, "", "agent", "release", "a", "--reason", "fixed")
	f.want(t, 2, "", "agent", "events", "a", "--limit", "0")
	if out := f.want(t, 0, "", "agent", "events", "a").stdout; !strings.Contains(out, "quarantine") || !strings.Contains(out, "spends too much") {
		t.Errorf("events: %s", out)
	}
	events := decode[[]agent.Record](t, f.want(t, 0, "", "agent", "events", "a", "-o", "json").stdout)
	if len(events) != 2 || events[0].Quarantined || events[0].Last.Action != "release" || !events[1].Quarantined || events[1].Last.By == "" {
		t.Errorf("events: %+v", events)
	}
}
