// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/snapshot"
)

// pick returns a version of a history and its bytes, compared; 0 is the newest.
// When it cannot be rebuilt, the error says which other one can; flags are those
// that select the agent.
func pick(ctx context.Context, h *snapshot.History, number uint64, flags string) (*snapshot.Version, []byte, error) {
	v, err := h.Version(number)
	if err == nil {
		var state []byte
		if state, err = h.Materialise(v); err == nil {
			return v, state, nil
		}
		if v.State == hawser.VersionBad {
			err = fmt.Errorf("marked as bad in the cluster: %w", err)
		}
	}
	if code := hawser.CodeOf(err); code != hawser.CodeCorrupt && code != hawser.CodeTooLarge {
		return nil, nil, err
	}
	good, goodErr := newestGood(ctx, h)
	switch {
	case goodErr != nil:
		return nil, nil, errors.Join(err, goodErr)
	case good == 0:
		return nil, nil, hint(err, "no version of it in the archive is good")
	}
	return nil, nil, hint(err, "its newest good version in the archive is %d: %s--%s %d", good, flags, flagVersion, good)
}

// newestGood returns the number of the newest version that can be rebuilt, 0
// for none. It rebuilds the whole history: mostly one delta after another.
func newestGood(ctx context.Context, h *snapshot.History) (uint64, error) {
	good := uint64(0)
	for v, err := range h.Versions() {
		if err != nil {
			break // what lies behind the damage cannot be had either
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if _, err := h.Materialise(v); err == nil {
			good = v.Number
		}
	}
	return good, nil
}
