// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"os"
	"strings"
	"testing"
)

// Each of the node's own metrics stands in the operator's guide with its help.
func TestMetrics_AreDocumented(t *testing.T) {
	guide, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range gauges {
		if row := "| `" + g.name + "` | " + g.help + " |"; !strings.Contains(string(guide), row) {
			t.Errorf("docs/operations.md lacks the row %s", row)
		}
	}
}
