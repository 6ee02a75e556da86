// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"fmt"

	"github.com/hawserdb/hawser"
)

// apply lets somebody run an effect, or says what is known of it. What is
// checked, in this order: form, generation, fence, that the agent is there, that
// the effect was not begun with another input, limits. The fence comes before
// the repeat, unlike in other commands: the answer lets the caller act, and one
// that was deposed may not.
func (b *BeginEffect) apply(c *changes) (Result, error) {
	switch {
	case !validAgent(b.Agent) || !validEffect(b.ID):
		return c.refuse(invalidCommand("begin effect", "the agent's name or the effect's id is not valid"))
	case !b.Policy.Valid() || len(b.Description) > maxEffectDescription:
		return c.refuse(invalidCommand("begin effect", "the policy is unknown, or the description too long"))
	}
	f, epoch, refusal, err := c.effectsUnder("begin effect", b.Agent, b.Fence, b.Generation)
	if err != nil {
		return Result{}, err
	}
	if refusal != nil {
		return c.refuse(refusal)
	}
	if f.a.live == 0 && !f.a.busy {
		return c.refuse(notFound("begin effect", b.Agent, "there is no such agent: save its first state, or claim it"))
	}
	e, inherited, err := f.find(b.ID)
	if err != nil {
		return Result{}, err
	}
	none := hawser.Hash{}
	switch {
	case e == nil:
		if refusal := f.room(b.ID); refusal != nil {
			return c.refuse(refusal)
		}
		e = &effectRecord{key: c.effectKeyOf(b.Agent, b.ID)}
		return b.run(f, nil, e, epoch)
	case b.Input != none && e.input != none && b.Input != e.input:
		return c.refuse(effectError(hawser.CodeRequestMismatch, "begin effect", b.Agent, b.ID, "it was begun with another input; another call needs another id"))
	case e.state == hawser.EffectOpen && e.nonce == b.Nonce:
		res, err := f.answer(b.ID)
		res.Begun, res.Repeated = true, true
		return res, err
	case e.state == hawser.EffectRetry, e.state == hawser.EffectOpen && b.Policy == hawser.OnUnknownRetry:
		return b.run(f, before(e, inherited), e, epoch)
	}
	return f.answer(b.ID)
}

// run lets the caller run the effect.
func (b *BeginEffect) run(f *effectsOf, before, e *effectRecord, epoch uint64) (Result, error) {
	c := f.c
	c.revise()
	next := *e
	next.state, next.policy, next.nonce = hawser.EffectOpen, b.Policy, b.Nonce
	next.attempts++
	next.instance, next.epoch, next.head, next.begun = b.Instance, epoch, f.a.live, c.state.time
	next.reason, next.resolved = "", false
	if b.Description != "" {
		next.description = b.Description
	}
	if b.Input != (hawser.Hash{}) {
		next.input = b.Input
	}
	if err := f.put(b.ID, before, next, nil); err != nil {
		return Result{}, err
	}
	f.event(hawser.EventEffectBegun, b.ID, 0, b.Instance, "", epoch)
	res, err := f.answer(b.ID)
	res.Begun = true
	return res, err
}

// effectsUnder returns the effects of an agent that somebody may write to, or
// why not: its generation, then its fence.
func (c *changes) effectsUnder(op string, id hawser.AgentID, fence, generation uint64) (f *effectsOf, epoch uint64, refusal, err error) {
	if generation != 0 && generation != c.state.generation {
		return nil, 0, wrongGeneration(op, id, generation, c.state.generation), nil
	}
	a, err := c.agent(id)
	if err != nil {
		return nil, 0, nil, err
	}
	epoch, refusal, err = c.authorise(op, a, authority{fence: fence})
	if err != nil || refusal != nil {
		return nil, 0, refusal, err
	}
	f, err = c.effectsOf(a)
	return f, epoch, nil, err
}

// apply records how an effect ended. What is checked, in this order: form,
// generation, that it was begun, repeat, fence, that it did not end otherwise.
func (f *FinishEffect) apply(c *changes) (Result, error) {
	if !validAgent(f.Agent) {
		return c.refuse(invalidCommand("finish effect", "the agent's name is not valid"))
	}
	if refusal := checkEnds("finish effect", []EffectEnd{f.End}); refusal != nil {
		return c.refuse(refusal)
	}
	if f.Generation != 0 && f.Generation != c.state.generation {
		return c.refuse(wrongGeneration("finish effect", f.Agent, f.Generation, c.state.generation))
	}
	a, err := c.agent(f.Agent)
	if err != nil {
		return Result{}, err
	}
	of, err := c.effectsOf(a)
	if err != nil {
		return Result{}, err
	}
	e, inherited, err := of.find(f.End.ID)
	if err != nil {
		return Result{}, err
	}
	d := f.End.end(0)
	if e != nil && d.is(e) {
		res, err := of.answer(f.End.ID)
		res.Repeated = true
		return res, err
	}
	epoch, refusal, err := c.authorise("finish effect", a, authority{fence: f.Fence})
	switch {
	case err != nil:
		return Result{}, err
	case refusal != nil:
		return c.refuse(refusal)
	case e == nil:
		return c.refuse(unknownEffect("finish effect", f.Agent, f.End.ID))
	case e.state.Finished():
		return c.refuse(otherEnd("finish effect", f.Agent, f.End.ID, e))
	}
	c.revise()
	if err := of.finish(f.End.ID, e, inherited, d); err != nil {
		return Result{}, err
	}
	of.ended(f.End.ID, d, epoch)
	return of.answer(f.End.ID)
}

func (e *EffectEnd) end(version uint64) end {
	return end{failed: e.Failed, reason: e.Reason, result: e.Result, version: version}
}

// checkEnds refuses what no node proposes.
func checkEnds(op string, ends []EffectEnd) error {
	size := 0
	for i, e := range ends {
		switch {
		case !validEffect(e.ID):
			return invalidCommand(op, "the effect's id is not valid")
		case e.Failed && len(e.Result) > 0 || !e.Failed && e.Reason != "":
			return invalidCommand(op, "an effect that failed has a reason, one that is done a result")
		}
		for _, other := range ends[:i] {
			if other.ID == e.ID {
				return invalidCommand(op, "two ends of one effect")
			}
		}
		size += len(e.Result) + len(e.Reason)
	}
	switch {
	case len(ends) > maxEffectsPerSave:
		return invalidCommand(op, fmt.Sprintf("the ends of %d effects, %d are possible", len(ends), maxEffectsPerSave))
	case size > maxEffectResult:
		return &hawser.Error{Code: hawser.CodeTooLarge, Op: op, Msg: fmt.Sprintf("results of %d bytes, %d are possible", size, maxEffectResult)}
	}
	return nil
}

// mayEnd is why a save cannot record the ends that it carries, nil when it can.
func (f *effectsOf) mayEnd(ends []EffectEnd) (refusal, err error) {
	for i := range ends {
		e, _, err := f.find(ends[i].ID)
		if err != nil {
			return nil, err
		}
		d := ends[i].end(0)
		if e == nil {
			return unknownEffect("save", f.a.id, ends[i].ID), nil
		}
		if e.state.Finished() && !d.is(e) {
			return otherEnd("save", f.a.id, ends[i].ID, e), nil
		}
	}
	return nil, nil
}

// saved records the ends that a save carries, with the version that it is about
// to make. One that ended before is only noted where the versions so far do not
// reflect that.
func (f *effectsOf) saved(ends []EffectEnd, version uint64) error {
	for i := range ends {
		e, depth, err := find(f.c, f.links, ends[i].ID)
		if err != nil {
			return err
		}
		d := ends[i].end(version)
		if again := e.state.Finished(); again {
			if l := f.links[depth]; l.reflects(l.at, e.since) {
				continue
			}
			d.resolved, d.reason = e.resolved, e.reason
		} else {
			f.ended(ends[i].ID, d, f.a.under)
		}
		if err := f.finish(ends[i].ID, e, depth > 0, d); err != nil {
			return err
		}
	}
	return nil
}

// apply resolves an effect by hand. What is checked, in this order: form,
// generation, that it was begun, repeat, that it is open, that nobody may be
// running it.
func (q *ResolveEffect) apply(c *changes) (Result, error) {
	d := end{failed: q.State == hawser.EffectFailed, reason: q.Reason, result: q.Result, resolved: true}
	switch {
	case !validAgent(q.Agent) || !validEffect(q.ID):
		return c.refuse(invalidCommand("resolve effect", "the agent's name or the effect's id is not valid"))
	case q.State != hawser.EffectRetry && !q.State.Finished():
		return c.refuse(invalidCommand("resolve effect", "to be resolved it is done, failed, or to be run again"))
	case q.State != hawser.EffectDone && len(q.Result) > 0 || len(q.Result) > maxEffectResult:
		return c.refuse(invalidCommand("resolve effect", "the result is too long, or of an effect that is not done"))
	case q.Generation != 0 && q.Generation != c.state.generation:
		return c.refuse(wrongGeneration("resolve effect", q.Agent, q.Generation, c.state.generation))
	}
	a, err := c.agent(q.Agent)
	if err != nil {
		return Result{}, err
	}
	f, err := c.effectsOf(a)
	if err != nil {
		return Result{}, err
	}
	e, inherited, err := f.find(q.ID)
	if err != nil {
		return Result{}, err
	}
	switch {
	case e == nil:
		return c.refuse(unknownEffect("resolve effect", q.Agent, q.ID))
	case e.state == hawser.EffectRetry && q.State == hawser.EffectRetry, e.state.Finished() && d.is(e) && q.State != hawser.EffectRetry:
		res, err := f.answer(q.ID)
		res.Repeated = true
		return res, err
	case e.state == hawser.EffectDone, e.state == hawser.EffectFailed && q.State == hawser.EffectDone:
		return c.refuse(effectError(hawser.CodeRefused, "resolve effect", q.Agent, q.ID, "it is %s; to call once more is another effect, with another id", e.state))
	}
	if refusal, err := q.mayRun(c, e, inherited); err != nil {
		return Result{}, err
	} else if refusal != nil {
		return c.refuse(refusal)
	}
	c.revise()
	if q.State == hawser.EffectRetry {
		next := *e
		next.state, next.reason, next.resolved = hawser.EffectRetry, q.Reason, true
		next.version, next.since, next.finished, next.digest = 0, 0, 0, hawser.Hash{}
		err = f.put(q.ID, before(e, inherited), next, nil)
	} else {
		err = f.finish(q.ID, e, inherited, d)
	}
	if err != nil {
		return Result{}, err
	}
	f.event(hawser.EventEffectResolved, q.ID, 0, "", q.Reason, 0)
	return f.answer(q.ID)
}

// mayRun is why an effect that is open is better left to its owner: whoever has
// begun it still owns the agent, and may be running it.
func (q *ResolveEffect) mayRun(c *changes, e *effectRecord, inherited bool) (refusal, err error) {
	if q.Force || inherited || e.state != hawser.EffectOpen || e.epoch == 0 {
		return nil, nil
	}
	r, err := c.resource(claimOf(q.Agent))
	if err != nil {
		return nil, err
	}
	if live := r.live(); live != nil && live.number == e.epoch {
		return effectError(hawser.CodeRefused, "resolve effect", q.Agent, q.ID, "%q has begun it, still owns the agent, and may be running it; end its claim first, or force", live.instance), nil
	}
	return nil, nil
}

// apply forgets. What is checked, in this order: form, generation, fence.
func (g *ForgetEffects) apply(c *changes) (Result, error) {
	if !validAgent(g.Agent) || g.Version == 0 {
		return c.refuse(invalidCommand("forget effects", "the agent's name is not valid, or no version is named"))
	}
	f, _, refusal, err := c.effectsUnder("forget effects", g.Agent, g.Fence, g.Generation)
	if err != nil {
		return Result{}, err
	}
	if refusal != nil {
		return c.refuse(refusal)
	}
	if len(f.links) == 0 {
		return c.result(), nil
	}
	j := f.links[0]
	var ids []string
	more := false
	err = c.scan(endedKey(j.number, 0), endedKey(j.number, min(g.Version, f.a.live)+1), func(key, value []byte) (bool, error) {
		since, sequence := binary.BigEndian.Uint64(key[len(key)-16:]), binary.BigEndian.Uint64(key[len(key)-8:])
		if sequence < j.shared || !j.reflects(f.a.live, since) {
			return true, nil
		}
		if more = len(ids) == maxForget; !more {
			ids = append(ids, string(value))
		}
		return !more, nil
	})
	if err != nil || len(ids) == 0 {
		return c.result(), err
	}
	c.revise()
	for _, id := range ids {
		e, err := readEffect(c, j.number, id)
		if err != nil || e == nil {
			return Result{}, damaged("effect "+id, errMalformed)
		}
		j.count, j.bytes = j.count-1, j.bytes-e.size
		for _, key := range [...][]byte{effectKey(j.number, journalEffect, id), effectKey(j.number, journalResult, id), e.indexKey(j.number)} {
			c.drop(key)
		}
	}
	c.putJournal(j.number, j.journalRecord)
	res := c.result()
	res.Pruned, res.More = uint64(len(ids)), more
	return res, nil
}
