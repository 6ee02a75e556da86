// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"fmt"

	"github.com/hawserdb/hawser"
)

// apply appends a version that refers to the content of an older one. What is
// checked, in this order: form, generation, repeat, expiry, fence, condition,
// the older version.
func (r *Rollback) apply(c *changes) (Result, error) {
	if !validAgent(r.Agent) || r.Number == 0 {
		return c.refuse(invalidCommand("rollback", "it names no version"))
	}
	same := func(rec *chainRecord) bool { return rec.origin.Number == r.Number }
	a, res, done, err := c.begin(r.Agent, hawser.RequestRollback, r.Request, authority{r.Fence, r.Force}, r.Expect, same)
	if done {
		return res, err
	}
	rec, refusal, err := c.again(r.Agent, r.Number)
	if err != nil {
		return Result{}, err
	}
	if refusal != nil {
		return c.refuse(refusal)
	}
	rec.kind, rec.nonce, rec.expect, rec.instance = hawser.RequestRollback, r.Request.Nonce, r.Expect, r.Instance
	res, err = c.addVersion(a, rec, r.Force)
	if err != nil {
		return Result{}, err
	}
	return res, c.rewound(a, res.Number, r.Number)
}

// apply makes an agent that refers to the content of another one's version.
// What is checked, in this order: form, generation, repeat, expiry, fence, that
// the agent has no version, the source.
func (f *Fork) apply(c *changes) (Result, error) {
	if !validAgent(f.Agent) || !validAgent(f.Source) {
		return c.refuse(invalidCommand("fork", "an agent's name is not valid"))
	}
	none := uint64(0)
	same := func(rec *chainRecord) bool {
		return rec.origin.Agent == f.Source && (f.Number == 0 || rec.origin.Number == f.Number)
	}
	a, res, done, err := c.begin(f.Agent, hawser.RequestFork, f.Request, authority{fence: f.Fence}, &none, same)
	if done {
		return res, err
	}
	refusal, err := c.deep(f.Source)
	if err != nil {
		return Result{}, err
	}
	if refusal != nil {
		return c.refuse(refusal)
	}
	rec, refusal, err := c.again(f.Source, f.Number)
	if err != nil {
		return Result{}, err
	}
	if refusal != nil {
		return c.refuse(refusal)
	}
	if err := c.share(rec.place()); err != nil {
		return Result{}, err
	}
	rec.kind, rec.nonce, rec.expect, rec.instance = hawser.RequestFork, f.Request.Nonce, &none, f.Instance
	if err := c.inherit(a, f.Source, rec.origin.Number); err != nil {
		return Result{}, err
	}
	return c.addVersion(a, rec, false)
}

// share notes that several agents may need the contents that lead to a place.
// What is before a segment that is shared already is shared too.
func (c *changes) share(at place) error {
	for at.segment != 0 {
		s, _, err := c.place(at)
		if err != nil || s.shared {
			return err
		}
		s.shared, s.changed = true, true
		at = s.parent
	}
	return nil
}

// again refers to the content of a version, number 0 for the head, and describes
// one equal to it. That has stored nothing of its own.
func (c *changes) again(id hawser.AgentID, number uint64) (rec *chainRecord, refusal, err error) {
	origin, refusal, err := c.restorable(id, number)
	if err != nil || refusal != nil {
		return nil, refusal, err
	}
	return &chainRecord{
		sha: origin.sha, size: origin.size, segment: origin.segment, position: origin.position,
		contentType: origin.contentType, schema: origin.schema, labels: origin.labels,
		origin: hawser.VersionRef{Agent: id, Number: origin.number},
	}, nil, c.refer(origin.place())
}

// restorable returns a version that can be restored, number 0 for the head.
func (c *changes) restorable(id hawser.AgentID, number uint64) (rec *chainRecord, refusal, err error) {
	rec, refusal, err = c.version(id, number)
	if rec != nil && rec.state == hawser.VersionBad {
		return nil, badVersion(id, rec), nil
	}
	return rec, refusal, err
}

// version returns a version that is there, number 0 for the head.
func (c *changes) version(id hawser.AgentID, number uint64) (rec *chainRecord, refusal, err error) {
	a, err := c.agent(id)
	if err != nil {
		return nil, nil, err
	}
	if a.head == 0 {
		return nil, notFound("agent", id, "there is no such agent"), nil
	}
	return locate(id, a.agentRecord, number, func(number uint64) (*chainRecord, error) { return c.record(id, number) })
}

// locate finds a version of an agent that was, number 0 for the head.
func locate(id hawser.AgentID, a agentRecord, number uint64, read func(uint64) (*chainRecord, error)) (rec *chainRecord, refusal, err error) {
	if number == 0 {
		number = a.live
	}
	key := fmt.Sprintf("%s@%d", id, number)
	switch {
	case a.live == 0:
		return nil, notFound("agent", id, "it was deleted"), nil
	case number > a.head:
		return nil, &hawser.Error{Code: hawser.CodeNotFound, Op: "version", Key: key, Msg: fmt.Sprintf("the newest is %d", a.live)}, nil
	case number <= a.floor:
		return nil, &hawser.Error{Code: hawser.CodeVersionGone, Op: "version", Key: key, Msg: "the agent was deleted and made anew"}, nil
	}
	rec, err = read(number)
	switch {
	case err != nil:
		return nil, nil, err
	case rec == nil && number+window > a.head && number > a.blind: // only what has left the window may have no record
		return nil, nil, damagedKey("record", id, number)
	case rec == nil || rec.state == hawser.VersionGone:
		return nil, &hawser.Error{Code: hawser.CodeVersionGone, Op: "version", Key: key}, nil
	}
	return rec, nil, nil
}
