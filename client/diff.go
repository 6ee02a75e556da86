// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/diff"
)

// ChangeKind says what happened to a path.
type ChangeKind uint8

const (
	// ChangeAdded paths are in the second version only.
	ChangeAdded ChangeKind = iota + 1
	// ChangeRemoved paths are in the first version only.
	ChangeRemoved
	// ChangeReplaced paths are in both, with different values.
	ChangeReplaced
)

// String returns the kind in words.
func (k ChangeKind) String() string {
	switch k {
	case ChangeAdded:
		return "added"
	case ChangeRemoved:
		return "removed"
	case ChangeReplaced:
		return "changed"
	}
	return fmt.Sprintf("change %d", uint8(k))
}

// Change is one difference between two JSON documents.
type Change struct {
	Kind ChangeKind
	// Path is a JSON Pointer (RFC 6901), empty for the whole document. An index
	// counts in the second version, that of a removed element in the first.
	Path string
	// Old and New are the values as JSON, shortened to some 80 bytes; empty
	// where there is none.
	Old, New string
}

// Range is one difference between two versions that are not JSON: the bytes
// from OldStart up to OldEnd were replaced by those from NewStart up to NewEnd.
// Either may be none.
type Range struct {
	OldStart, OldEnd int64
	NewStart, NewEnd int64
}

// Diff is what differs between two versions.
type Diff struct {
	From, To hawser.Version
	// JSON says that both were compared as JSON: Changes tells what differs,
	// nothing if only the spelling does. Otherwise Ranges does.
	JSON    bool
	Changes []Change
	Ranges  []Range
	// Truncated says that more may differ than is told: a thousand differences
	// are, and 64 levels of a document.
	Truncated bool
}

// Diff restores two versions of the agent, 0 for the head, and returns what
// differs between them. Numbers are compared by their digits, objects without
// regard to order, arrays as histories that mostly grow at the end. It holds
// both states in memory, and does not move the handle's position. Errors are
// those of [Agent.Restore].
func (a *Agent) Diff(ctx context.Context, from, to uint64, opts ...ReadOption) (Diff, error) {
	o := showOptions(opts)
	read := func(number uint64) (Checkpoint, error) {
		if a.err != nil {
			return Checkpoint{}, a.err
		}
		within, cancel := a.client.budget(ctx, int(a.position().size))
		defer cancel()
		o.version = number
		cp, _, err := a.restore(ctx, within, o)
		return cp, err
	}
	older, err := read(from)
	if err != nil {
		return Diff{}, err
	}
	newer, err := read(to)
	if err != nil {
		return Diff{}, err
	}
	r := diff.Compare(older.State, newer.State, diff.Limits{})
	return Diff{
		From: older.Version, To: newer.Version, JSON: r.JSON, Truncated: r.Truncated,
		Changes: convert(r.Changes, changeFrom), Ranges: convert(r.Ranges, rangeFrom),
	}, nil
}

func changeFrom(c diff.Change) Change {
	return Change{Kind: ChangeKind(c.Kind), Path: c.Path, Old: c.Old, New: c.New}
}

func rangeFrom(r diff.Range) Range {
	return Range{OldStart: r.Old.Start, OldEnd: r.Old.End, NewStart: r.New.Start, NewEnd: r.New.End}
}
