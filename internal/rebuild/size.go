// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package rebuild

import (
	"errors"
	"slices"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/delta"
	"github.com/hawserdb/hawser/internal/record"
)

// View is what is looked at: an *fsm.View.
type View interface {
	Agent(id hawser.AgentID) (hawser.Agent, error)
	Versions(id hawser.AgentID, before uint64, limit int) ([]hawser.Version, error)
	Path(id hawser.AgentID, number uint64) (hawser.Version, fsm.Path, error)
	ContentAt(segment uint64, position uint32) (c record.Content, stamp uint64, err error)
	Load(c record.Content) (record.Content, error)
	Verify(id hawser.AgentID, from, to uint64, yield func(fsm.Verdict) bool) (next uint64, err error)
}

// numbers returns the numbers of the first live versions from..to, 0 for the
// head, and the number to go on from, 0 for the end. Long stretches that were
// removed are crossed in growing steps.
func numbers(v View, id hawser.AgentID, from, to uint64) (live []uint64, next uint64, err error) {
	a, err := v.Agent(id)
	if err != nil {
		return nil, 0, err
	}
	last := a.Head
	if to != 0 {
		last = min(last, to)
	}
	from = max(from, 1)
	for step := uint64(window); from <= last; {
		upper := min(last, from+step-1)
		versions, err := v.Versions(id, upper+1, window)
		if err != nil {
			return nil, 0, err
		}
		versions = slices.DeleteFunc(versions, func(version hawser.Version) bool { return version.Number < from })
		switch {
		case len(versions) == 0:
			from, step = upper+1, 2*step
			continue
		case step > window: // these are the last of the stretch
			step /= 2
			continue
		}
		for _, version := range slices.Backward(versions) {
			if version.State == hawser.VersionLive {
				live = append(live, version.Number)
			}
		}
		if from = upper + 1; len(live) > 0 {
			break
		}
	}
	if from <= last {
		next = from
	}
	return live, next, nil
}

// anyLarge reports whether one of the versions, or of the states on the way to
// them, is large. What no version tells it reads from the contents.
func anyLarge(v View, id hawser.AgentID, numbers []uint64) (bool, error) {
	known, unknown := map[fsm.Place]bool{}, []fsm.Place{}
	for _, number := range numbers {
		version, path, err := v.Path(id, number)
		if err != nil {
			return false, err
		}
		if version.Size > Large {
			return true, nil
		}
		unknown = append(unknown, path.Places...)
		known[path.Places[len(path.Places)-1]] = true
	}
	for _, at := range unknown {
		if known[at] {
			continue
		}
		known[at] = true
		size, err := sizeAt(v, at)
		// What is missing or altered makes no state.
		if err != nil && !errors.Is(err, hawser.ErrCorrupt) {
			return false, err
		}
		if size > Large {
			return true, nil
		}
	}
	return false, nil
}

// sizeAt returns the size of the state that a content makes.
func sizeAt(v View, at fsm.Place) (int64, error) {
	content, _, err := v.ContentAt(at.Segment, at.Position)
	if err != nil || content.Kind == record.Keyframe {
		return int64(content.Size), err
	}
	if content, err = v.Load(content); err != nil {
		return 0, err
	}
	info, err := delta.Inspect(content.Data)
	return info.Size, err
}
