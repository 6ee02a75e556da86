// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

// order checks the order of policies, floors and agents.
type order struct {
	stage itemType // the last of the three that came
	last  string   // its key
}

func (o *order) take(item Item) error {
	var k string
	switch item := item.(type) {
	case *Policy:
		k = item.Namespace + "\x00" + item.Prefix
	case *Floor:
		k = item.Namespace
	case *Agent:
		k = key(item.ID)
	default:
		return nil
	}
	t := item.itemType()
	if t < o.stage || t == o.stage && k <= o.last {
		return corruptItem("a %s, %q, comes too late", t, k)
	}
	o.stage, o.last = t, k
	return nil
}
