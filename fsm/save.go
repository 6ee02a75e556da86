// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"fmt"
	"math"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// Rules of what a save may carry. They are frozen at the feature level that
// set them.
const (
	// maxDelta is the longest delta in bytes; beyond it a keyframe is not worse.
	maxDelta = record.MaxDelta
	// maxDerived is the most versions that one can be derived from.
	maxDerived = 256
)

// apply appends a version. What is checked, in this order: form, generation,
// repeat, expiry, fence, lock, condition, messages, effects, parts, base and
// chain.
func (s *Save) apply(c *changes) (Result, error) {
	if err := s.check(); err != nil {
		return c.refuse(err)
	}
	a, res, done, err := s.begin(c)
	if done {
		return res, err
	}
	refusal, err := c.mayMove(s)
	if err != nil || refusal != nil {
		return c.refuseOr(refusal, err)
	}
	effects, refusal, err := c.ending(a, s)
	if err != nil || refusal != nil {
		return c.refuseOr(refusal, err)
	}
	content, refusal, err := c.staged(s.Content)
	if err != nil || refusal != nil {
		return c.refuseOr(refusal, err)
	}
	res, err = s.store(c, a, content)
	if err == nil && res.Err == nil && effects != nil {
		err = effects.saved(s.Effects, res.Number)
	}
	return res, err
}

// begin is changes.begin of a save.
func (s *Save) begin(c *changes) (a *agent, res Result, done bool, err error) {
	ended, err := c.allEnded(s)
	if err != nil {
		return nil, Result{}, true, err
	}
	same := func(rec *chainRecord) bool { return rec.sha == s.SHA256 && s.sameMoved(rec) && ended }
	return c.begin(s.Agent, hawser.RequestSave, s.Request, authority{s.Fence, s.Force}, s.Expect, same)
}

// store makes the version of a save that may be made, unless its delta does not
// fit.
func (s *Save) store(c *changes, a *agent, content stored) (Result, error) {
	var at place
	if s.Base == nil {
		at = c.newSegment(place{}, record.Chain{}, content)
	} else {
		var refusal, err error
		if at, refusal, err = c.storeDelta(a, s.Base, content); err != nil {
			return Result{}, err
		}
		if refusal != nil {
			return c.refuse(refusal)
		}
	}
	rec := s.record(at, content.bytes)
	res, err := c.addVersion(a, rec, s.Force)
	if err == nil {
		err = c.move(s, rec)
	}
	return res, err
}

// allEnded reports whether the effects have ended as a save says, which they
// have when it is a repeat. One that is not there was forgotten since.
func (c *changes) allEnded(s *Save) (bool, error) {
	if len(s.Effects) == 0 {
		return true, nil
	}
	a, err := c.agent(s.Agent)
	if err != nil {
		return false, err
	}
	f, err := c.effectsOf(a)
	if err != nil {
		return false, err
	}
	for i := range s.Effects {
		e, _, err := f.find(s.Effects[i].ID)
		if err != nil {
			return false, err
		}
		if d := s.Effects[i].end(0); e != nil && !d.is(e) {
			return false, nil
		}
	}
	return true, nil
}

// ending returns the effects whose ends a save carries, nil for none, or why it
// cannot.
func (c *changes) ending(a *agent, s *Save) (f *effectsOf, refusal, err error) {
	if len(s.Effects) == 0 {
		return nil, nil, nil
	}
	if f, err = c.effectsOf(a); err != nil {
		return nil, nil, err
	}
	refusal, err = f.mayEnd(s.Effects)
	return f, refusal, err
}

// check refuses what no node proposes. It may not depend on limits that a
// later version could change.
func (s *Save) check() error {
	if !validAgent(s.Agent) {
		return invalidCommand("save", "the agent's name is not valid")
	}
	if err := s.checkMoved(); err != nil {
		return err
	}
	for _, ref := range s.DerivedFrom {
		if !validAgent(ref.Agent) || ref.Number == 0 {
			return invalidCommand("save", "what it is derived from is not a version")
		}
	}
	if err := checkEnds("save", s.Effects); err != nil {
		return err
	}
	switch {
	case s.Content.Encoding != record.Raw && s.Content.Encoding != record.Zstd:
		return invalidCommand("save", "the content's encoding is unknown")
	case len(s.DerivedFrom) > maxDerived:
		return invalidCommand("save", fmt.Sprintf("it is derived from %d versions, %d are possible", len(s.DerivedFrom), maxDerived))
	case s.Base == nil && s.Content.Kind != record.Keyframe:
		return invalidCommand("save", "the content is not a keyframe and has no base")
	case s.Base == nil && s.Size != 0 && s.Size != s.Content.Size:
		return invalidCommand("save", "the keyframe is of another size than the state")
	case s.Base == nil:
		return nil
	case s.Content.Kind != record.Delta || s.Content.Encoding != record.Raw:
		return invalidCommand("save", "the content has a base and is not a plain delta")
	case s.Content.Size > maxDelta || len(s.Content.Data) > maxDelta:
		return invalidCommand("save", fmt.Sprintf("a delta of %d bytes, %d are possible", s.Content.Size, maxDelta))
	}
	return nil
}

// storeDelta stores the difference to the head: after the head's content, or
// in a segment of its own when something is there already.
func (c *changes) storeDelta(a *agent, base *Base, content stored) (at place, refusal, err error) {
	head, s, refusal, err := c.fits(a, base, content)
	if err != nil || refusal != nil {
		return place{}, refusal, err
	}
	if head.position == s.tip() {
		return c.extend(s, content), nil, nil
	}
	if err := c.refer(head.place()); err != nil {
		return place{}, nil, err
	}
	return c.newSegment(head.place(), s.chain(head.position), content), nil, nil
}

// fits returns the head that a difference follows and its segment, or why it
// cannot. It changes nothing.
func (c *changes) fits(a *agent, base *Base, content stored) (head *chainRecord, s *segment, refusal, err error) {
	if a.live == 0 {
		return nil, nil, keyframeNeeded(a.id, "the agent has no version"), nil
	}
	if a.live != base.Number {
		return nil, nil, keyframeNeeded(a.id, fmt.Sprintf("the head is version %d, the delta's base version %d", a.live, base.Number)), nil
	}
	head, err = c.record(a.id, a.live)
	switch {
	case err != nil:
		return nil, nil, nil, err
	case head == nil:
		return nil, nil, nil, damagedKey("record", a.id, a.live)
	case head.sha != base.SHA256:
		return nil, nil, keyframeNeeded(a.id, fmt.Sprintf("version %d is not what the delta starts from", a.live)), nil
	case head.state != hawser.VersionLive:
		return nil, nil, keyframeNeeded(a.id, fmt.Sprintf("version %d is %s", a.live, head.state)), nil
	}
	if s, _, err = c.place(head.place()); err != nil {
		return nil, nil, nil, err
	}
	chain := s.chain(head.position)
	if chain.NeedsKeyframe(int64(content.bytes)) || head.position == math.MaxUint32 {
		return nil, nil, keyframeNeeded(a.id, fmt.Sprintf("a delta of %d bytes would follow a keyframe of %d and %d deltas of %d",
			content.bytes, chain.Keyframe, chain.Deltas, chain.DeltaBytes)), nil
	}
	return head, s, nil, nil
}

func keyframeNeeded(id hawser.AgentID, msg string) error {
	return &hawser.Error{Code: hawser.CodeKeyframeNeeded, Op: "save", Key: id.String(), Msg: msg + "; save the whole state"}
}

// record describes the version that s makes, whose content is at a place.
func (s *Save) record(at place, bytes uint64) *chainRecord {
	size := s.Size
	if s.Base == nil {
		size = s.Content.Size
	}
	return &chainRecord{
		kind: hawser.RequestSave, nonce: s.Request.Nonce, expect: s.Expect,
		sha: s.SHA256, size: size, stored: bytes, segment: at.segment, position: at.position,
		instance: s.Instance, contentType: s.ContentType, schema: s.Schema, labels: s.Labels, derived: s.DerivedFrom,
		moved: s.Moved(),
	}
}

// addVersion makes rec, whose content has its reference, the head of a. It
// sets what follows from that. Forced, it ends the claim that there is.
func (c *changes) addVersion(a *agent, rec *chainRecord, forced bool) (Result, error) {
	if forced {
		if err := c.depose(a, rec.kind.String()+` by force, by "`+rec.instance+`"`); err != nil {
			return Result{}, err
		}
	}
	rec.number, rec.state = a.head+1, hawser.VersionLive
	if a.live == 0 {
		a.created, a.oldest = c.state.time, rec.number
		c.state.agents++
	}
	c.revise()
	rec.parent, rec.epoch = a.live, a.under
	rec.created, rec.revision = c.state.time, hawser.Revision(c.state.revision)
	a.live = rec.number
	a.versions++
	a.stored += rec.stored
	c.putDerived(a.id, rec)
	if err := c.take(a, rec); err != nil {
		return Result{}, err
	}
	e := hawser.Event{Kind: hawser.EventVersionSaved, Name: a.id, Number: rec.number, Size: int64(rec.size), Instance: rec.instance, Txn: rec.txn}
	if rec.epoch != 0 {
		e.Token = c.token(rec.epoch)
	}
	c.emit(e)
	res := c.result()
	res.Version, res.Number = rec.version(a.id), rec.number
	var err error
	res.Chain, err = c.chainOf(rec)
	return res, err
}

// chainOf sums up how a version that is there is stored.
func (c *changes) chainOf(rec *chainRecord) (record.Chain, error) {
	s, _, err := c.place(rec.place())
	if err != nil {
		return record.Chain{}, err
	}
	return s.chain(rec.position), nil
}

// take gives the next number of a's chain to rec, and lets the record go that
// thereby leaves the window, if its version is gone.
func (c *changes) take(a *agent, rec *chainRecord) error {
	a.head, a.changed = rec.number, true
	c.putRecord(a.id, rec)
	if a.head <= window || a.head-window > max(a.floor, a.stubs) {
		return nil
	}
	old, err := c.record(a.id, a.head-window)
	if err != nil || old == nil || old.state != hawser.VersionGone && old.number > a.floor {
		return err
	}
	return c.dropVersion(a, old)
}

// dropVersion removes a version, or a number that is none: its reference to
// the content, and what is known of it but for what the window keeps.
func (c *changes) dropVersion(a *agent, rec *chainRecord) error {
	if rec.state != hawser.VersionGone {
		c.dropDerived(a.id, rec)
		if err := c.release(rec.place()); err != nil {
			return err
		}
	}
	switch {
	case rec.number+window <= a.head:
		c.dropRecord(a.id, rec.number)
	case rec.state != hawser.VersionGone:
		c.putRecord(a.id, rec.stub())
	}
	return nil
}
