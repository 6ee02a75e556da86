// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// apply appends a version. What is checked, in this order: form, generation,
// repeat, expiry, fence, condition.
func (s *Save) apply(c *changes) (Result, error) {
	if err := s.check(); err != nil {
		return c.refuse(err)
	}
	if g := s.Request.Generation; g != 0 && g != c.state.generation {
		return c.refuse(wrongGeneration("save", s.Agent, g, c.state.generation))
	}
	a, err := c.agent(s.Agent)
	if err != nil {
		return Result{}, err
	}
	if res, done, err := c.repeat(a, hawser.RequestSave, s.Request, s.Expect, &s.SHA256); done {
		return res, err
	}
	// The fence is checked here, once agents can be claimed.
	if s.Expect != nil && *s.Expect != a.live {
		return c.conflict(a, s.Expect)
	}
	return c.appendVersion(a, s)
}

// check refuses what no node proposes. It may not depend on limits that a
// later version could change.
func (s *Save) check() error {
	switch {
	case !validAgent(s.Agent):
		return invalidCommand("save", "the agent's name is not valid")
	case s.Content.Kind != record.Keyframe:
		return invalidCommand("save", "the content is not a keyframe")
	case s.Content.Encoding != record.Raw && s.Content.Encoding != record.Zstd:
		return invalidCommand("save", "the content's encoding is unknown")
	}
	return nil
}

func (c *changes) appendVersion(a *agent, s *Save) (Result, error) {
	if a.live == 0 {
		a.created = c.state.time
		c.state.agents++
	}
	c.state.revision++
	rec := &chainRecord{
		number: a.head + 1, kind: hawser.RequestSave, state: hawser.VersionLive,
		nonce: s.Request.Nonce, expect: s.Expect,
		sha: s.SHA256, size: s.Content.Size, stored: uint64(len(s.Content.Data)),
		parent: a.live, epoch: a.epoch, created: c.state.time, revision: hawser.Revision(c.state.revision),
		segment: c.newSegment(s.Content), position: 0,
		instance: s.Instance, contentType: s.ContentType, schema: s.Schema, labels: s.Labels,
	}
	a.live = rec.number
	a.versions++
	a.stored += rec.stored
	if err := c.take(a, rec); err != nil {
		return Result{}, err
	}
	res := c.result()
	res.Version, res.Number = rec.version(a.id), rec.number
	return res, nil
}

// take gives the next number of a's chain to rec, and lets the record go that
// thereby leaves the window, if its version is gone.
func (c *changes) take(a *agent, rec *chainRecord) error {
	a.head, a.changed = rec.number, true
	c.putRecord(a.id, rec)
	if a.head <= window || a.head-window > a.floor {
		return nil
	}
	old, err := c.record(a.id, a.head-window)
	if err != nil || old == nil {
		return err
	}
	if old.state != hawser.VersionGone {
		c.dropContent(old)
	}
	c.dropRecord(a.id, old.number)
	return nil
}
