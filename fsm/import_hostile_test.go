// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"fmt"

	"github.com/hawserdb/hawser/snapshot"
)

// short tells an item in a word.
func short(item snapshot.Item) string {
	switch item := item.(type) {
	case *snapshot.Policy:
		return "p:" + item.Prefix
	case *snapshot.Floor:
		return "f:" + item.Namespace
	case *snapshot.Agent:
		return "a:" + item.ID.Name
	case *snapshot.Segment:
		return fmt.Sprintf("s%d", item.ID)
	case *snapshot.Content:
		return fmt.Sprintf("c%d.%d", item.Segment, item.Position)
	case *snapshot.Part:
		return fmt.Sprintf("part%d", item.Index)
	case *snapshot.Version:
		return fmt.Sprintf("v%d", item.Number)
	}
	return fmt.Sprintf("%T", item)
}
