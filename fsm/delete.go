// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import "github.com/hawserdb/hawser"

// apply removes an agent: its versions are below its floor from now on, and the
// messages of its inbox below that of the inbox, which costs the same however
// many there are. [Reclaim] frees them later. The
// number that the delete takes is no version.
func (d *Delete) apply(c *changes) (Result, error) {
	if !validAgent(d.Agent) {
		return c.refuse(invalidCommand("delete", "the agent's name is not valid"))
	}
	if g := d.Request.Generation; g != 0 && g != c.state.generation {
		return c.refuse(wrongGeneration("delete", d.Agent, g, c.state.generation))
	}
	a, err := c.agent(d.Agent)
	if err != nil {
		return Result{}, err
	}
	if a.live == 0 && (d.Request.Attempt == 0 || !a.isExpired(d.Request)) {
		// Not the first attempt's fault: only a repeat that is found is better than this.
		if rec, err := c.find(a, d.Request); err != nil || rec == nil {
			res, _ := c.refuse(notFound("delete", d.Agent, "there is no such agent"))
			return res, err
		}
	}
	if res, done, err := c.repeat(a, hawser.RequestDelete, d.Request, &d.Request.Seen, nil); done {
		return res, err
	}
	if d.Fence != 0 { // without one it ends the claim
		_, refusal, err := c.authorise("delete", a, authority{fence: d.Fence})
		if err != nil {
			return Result{}, err
		}
		if refusal != nil {
			return c.refuse(refusal)
		}
	}
	refusal, err := c.locked(a)
	if err != nil {
		return Result{}, err
	}
	if refusal != nil {
		return c.refuse(refusal)
	}
	if d.Request.Seen != a.live {
		return c.conflict(a, &d.Request.Seen)
	}
	return c.deleteAgent(a, d)
}

func (c *changes) deleteAgent(a *agent, d *Delete) (Result, error) {
	if d.Fence == 0 {
		if err := c.depose(a, reasonDeleted); err != nil {
			return Result{}, err
		}
	}
	c.state.agents--
	c.revise()
	rec := &chainRecord{
		number: a.head + 1, kind: hawser.RequestDelete, state: hawser.VersionGone,
		nonce: d.Request.Nonce, expect: &d.Request.Seen,
		parent: a.live, created: c.state.time, revision: hawser.Revision(c.state.revision),
	}
	a.live, a.versions, a.stored, a.pins, a.floor = 0, 0, 0, 0, rec.number
	a.oldest, a.stubs, a.deleted = rec.number+1, 0, c.state.time
	if err := c.leaveJournal(a); err != nil {
		return Result{}, err
	}
	c.markGarbage(a.id, true)
	if err := c.dropInbox(a.id); err != nil {
		return Result{}, err
	}
	if err := c.take(a, rec); err != nil {
		return Result{}, err
	}
	c.emit(hawser.Event{Kind: hawser.EventAgentDeleted, Name: a.id})
	res := c.result()
	res.Number = rec.number
	return res, nil
}

const (
	defaultReclaim = 256
	maxReclaim     = 4096
)

// apply frees the contents of up to Limit numbers below the floor, oldest
// first, and drops their records where they have left the window; then as many
// messages of the inbox. It changes
// nothing that a user can see, and so makes no revision.
func (r *Reclaim) apply(c *changes) (Result, error) {
	if !validAgent(r.Agent) {
		return c.refuse(invalidCommand("reclaim", "the agent's name is not valid"))
	}
	a, err := c.agent(r.Agent)
	if err != nil {
		return Result{}, err
	}
	limit := uint64(min(r.Limit, maxReclaim))
	if limit == 0 {
		limit = defaultReclaim
	}
	if n := min(limit, a.floor-a.cleared); n > 0 {
		recs, err := c.records(a.id, a.cleared+1, a.cleared+n)
		if err != nil {
			return Result{}, err
		}
		for _, rec := range recs {
			if rec == nil {
				continue
			}
			if err := c.dropVersion(a, rec); err != nil {
				return Result{}, err
			}
		}
		a.cleared += n
		a.changed = true
	}
	emptied, err := c.clearInbox(a.id, limit)
	if err != nil {
		return Result{}, err
	}
	if emptied && a.cleared == a.floor {
		c.markGarbage(a.id, false)
	}
	return c.result(), nil
}
