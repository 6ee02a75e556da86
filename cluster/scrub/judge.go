// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package scrub

import (
	"maps"
	"slices"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// Report is what one node has of a version.
type Report struct {
	SHA256 hawser.Hash
	State  hawser.VersionState
	// Sums are of all that the version is rebuilt from.
	Sums []fsm.Sum
	// Verified is set when the node rebuilt it and the hash was right.
	Verified bool
}

// alike reports whether two nodes have the same bytes.
func (r Report) alike(other Report) bool {
	return r.SHA256 == other.SHA256 && slices.Equal(r.Sums, other.Sums)
}

// verdict is what is done about a version that does not verify here.
type verdict uint8

const (
	// undecided: ask again later.
	undecided verdict = iota
	// bad: the version is what was saved, and not what the saver said.
	bad
	// altered: this node's bytes are not what was saved.
	altered
	// broken: this node's record of the version is not what was saved.
	broken
)

// judge compares what this node has, which does not verify, with what other
// voters reported, by node. Voters is how many there are, this node included
// if it is one, which voting says. For altered bytes it returns a node that has
// the right ones: whoever does is right, because the hash is.
func judge(own Report, others map[string]Report, voters int, voting bool) (verdict, string) {
	nodes := slices.Sorted(maps.Keys(others))
	majority := voters/2 + 1
	foreign := 0
	for _, node := range nodes {
		switch r := others[node]; {
		case r.SHA256 != own.SHA256:
			foreign++
		case r.Verified:
			return altered, node
		}
	}
	if foreign >= majority {
		return broken, ""
	}
	all := slices.Collect(maps.Values(others))
	if voting {
		all = append(all, own)
	}
	all = slices.DeleteFunc(all, func(r Report) bool { return r.SHA256 != own.SHA256 || r.State != hawser.VersionLive })
	for _, a := range all {
		alike := 0
		for _, b := range all {
			if a.alike(b) {
				alike++
			}
		}
		if alike >= majority {
			return bad, ""
		}
	}
	return undecided, ""
}
