// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/hawserdb/hawser"
)

// Release gives back what a lease holds, takes it out of the queue, or
// acknowledges that somebody else has ended its hold. Result.Released is false
// when there was nothing of that.
type Release struct {
	Resource hawser.Resource
	Lease    hawser.LeaseID
	// Token is of the hold, 0 for whatever the lease has there.
	Token uint64
	// Ranking is as in [Ranking].
	Ranking    []hawser.LeaseID
	Generation uint64
}

// EndClaim ends a claim from outside. Its fence is void at once; whoever waits
// is granted the agent when the holder acknowledges that ([Release]), when its
// lease ends, or when its time is over ([Succeed]).
type EndClaim struct {
	Agent hawser.AgentID
	// Epoch is the claim's. Of an unclaim it is the agent's, claimed or not.
	Epoch uint64
	// To is the instance that comes next: it must wait for the agent.
	To string
	// Unclaim, instead of To, opens the agent to writes without a fence until it
	// is claimed again.
	Unclaim    bool
	Reason     string
	Generation uint64
}

// Succeed ends the wait for a holder whose hold was ended from outside.
type Succeed struct {
	Resource hawser.Resource
	// Token is of the hold.
	Token uint64
	// Term is as in [EndLease].
	Term    uint64
	Ranking []hawser.LeaseID
}

func (*Release) kind() commandKind  { return kindRelease }
func (*EndClaim) kind() commandKind { return kindEndClaim }
func (*Succeed) kind() commandKind  { return kindSucceed }

func (q *Release) appendBody(dst []byte) []byte {
	dst = append(appendResource(dst, q.Resource), q.Lease[:]...)
	dst = appendLeases(binary.AppendUvarint(dst, q.Token), q.Ranking)
	return binary.AppendUvarint(dst, q.Generation)
}

func (q *Release) parseBody(r *reader) {
	q.Resource, q.Lease, q.Token, q.Ranking, q.Generation = r.resource(), r.lease(), r.uvarint(), r.leases(), r.uvarint()
}

func (q *EndClaim) appendBody(dst []byte) []byte {
	dst = binary.AppendUvarint(appendAgent(dst, q.Agent), q.Epoch)
	dst = appendBytes(appendBool(appendBytes(dst, q.To), q.Unclaim), q.Reason)
	return binary.AppendUvarint(dst, q.Generation)
}

func (q *EndClaim) parseBody(r *reader) {
	q.Agent, q.Epoch, q.To, q.Unclaim, q.Reason, q.Generation = r.agent(), r.uvarint(), r.string(), r.bool(), r.string(), r.uvarint()
}

func (q *Succeed) appendBody(dst []byte) []byte {
	dst = binary.AppendUvarint(appendResource(dst, q.Resource), q.Token)
	return appendLeases(binary.AppendUvarint(dst, q.Term), q.Ranking)
}

func (q *Succeed) parseBody(r *reader) {
	q.Resource, q.Token, q.Term, q.Ranking = r.resource(), r.uvarint(), r.uvarint(), r.leases()
}

// apply gives back. What is checked, in this order: form, generation, what the
// lease has there.
func (q *Release) apply(c *changes) (Result, error) {
	if !validResource(q.Resource) {
		return c.refuse(invalidCommand("release", "the resource's kind or name is not valid"))
	}
	if g := q.Generation; g != 0 && g != c.state.generation {
		return c.refuse(otherGeneration("release", q.Resource.String(), g, c.state.generation))
	}
	r, err := c.resource(q.Resource)
	if err != nil {
		return Result{}, err
	}
	if i := r.holder(q.Lease); q.Token != 0 && (i < 0 || q.Token != c.token(r.holders[i].number)) {
		return c.result(), nil
	}
	l, err := c.lease(q.Lease)
	if err != nil {
		return Result{}, err
	}
	left, err := c.leave(r, l, reasonReleased, q.Ranking)
	if left {
		c.revise()
	}
	res := c.result()
	res.Released = left
	return res, err
}

// leave takes from a lease what it has in a resource, and reports whether it
// had something.
func (c *changes) leave(r *resource, l *lease, reason string, ranking []hawser.LeaseID) (bool, error) {
	has, err := c.has(l.id, r.name)
	if err != nil || has == nil {
		return false, err
	}
	if has.queued {
		c.dequeue(r, l, has.turn)
		return true, c.settle(r)
	}
	return true, c.vacate(r, l, reason, ranking)
}

// vacate removes a holder, and serves those who wait.
func (c *changes) vacate(r *resource, l *lease, reason string, ranking []hawser.LeaseID) error {
	i := r.holder(l.id)
	if i < 0 {
		return damaged("holders of "+r.name.String(), errMalformed)
	}
	if err := c.end(r, i, reason); err != nil {
		return err
	}
	if next := r.holders[i].successor; !next.IsZero() {
		ranking = slices.Concat([]hawser.LeaseID{next}, ranking)
	}
	r.holders, r.health = slices.Delete(r.holders, i, i+1), hawser.HealthUnknown
	c.drop(heldKey(l.id, r.name))
	l.held, l.changed = l.held-1, true
	if err := c.serve(r, ranking); err != nil {
		return err
	}
	return c.settle(r)
}

// end makes the fence of a holder void, unless it is already.
func (c *changes) end(r *resource, i int, reason string) error {
	h := &r.holders[i]
	if h.ended != "" {
		return nil
	}
	h.ended, r.changed = reason, true
	e := hawser.Event{
		Kind: hawser.EventLockEnded, Name: r.name.Name, Token: c.token(h.number), Instance: h.instance, Lease: h.lease, Reason: reason,
	}
	if r.name.Kind == hawser.ResourceClaim {
		a, err := c.agent(r.name.Name)
		if err != nil {
			return err
		}
		e.Kind = hawser.EventClaimEnded
		a.epoch++
		a.changed = true
		if a.live == 0 {
			a.deleted = c.state.time // keep the tomb, which knows the epoch, for as long as others
		}
	}
	c.emit(e)
	return nil
}

// apply ends a claim. What is checked, in this order: form, generation, that an
// earlier one has not done it, the epoch, that To waits.
func (q *EndClaim) apply(c *changes) (Result, error) {
	if !validAgent(q.Agent) || (q.To == "") != q.Unclaim || len(q.To) > maxKeyPart || len(q.Reason) > maxReason {
		return c.refuse(invalidCommand("end claim", "the agent's name, the successor or the reason is not valid"))
	}
	if g := q.Generation; g != 0 && g != c.state.generation {
		return c.refuse(otherGeneration("end claim", q.Agent.String(), g, c.state.generation))
	}
	a, err := c.agent(q.Agent)
	if err != nil {
		return Result{}, err
	}
	r, err := c.resource(claimOf(q.Agent))
	if err != nil {
		return Result{}, err
	}
	if q.Unclaim {
		return c.unclaim(q, a, r)
	}
	return c.handOver(q, a, r)
}

func claimOf(id hawser.AgentID) hawser.Resource {
	return hawser.Resource{Kind: hawser.ResourceClaim, Name: id}
}

func (c *changes) unclaim(q *EndClaim, a *agent, r *resource) (Result, error) {
	live := r.live()
	switch {
	case !a.fenced && (q.Epoch == a.epoch || a.epoch > 0 && q.Epoch == a.epoch-1):
		res := c.result()
		res.Repeated = true
		return res, nil
	case q.Epoch != a.epoch:
		return c.refuse(fencedError(a, live))
	}
	c.revise()
	a.fenced, a.changed = false, true
	if live != nil {
		if err := c.end(r, 0, reason("unclaimed", q.Reason)); err != nil {
			return Result{}, err
		}
	}
	res := c.result()
	res.Released = true
	return res, nil
}

func (c *changes) handOver(q *EndClaim, a *agent, r *resource) (Result, error) {
	live := r.live()
	switch {
	case live == nil && len(r.holders) == 1 && r.holders[0].number == q.Epoch && c.isNext(r.holders[0].successor, q.To),
		live != nil && live.number == q.Epoch+2 && live.instance == q.To:
		res := c.result()
		res.Repeated = true
		return res, nil
	case live == nil || live.number != q.Epoch:
		return c.refuse(fencedError(a, live))
	}
	successor, err := c.waiting(r, q.To)
	if err != nil {
		return Result{}, err
	}
	if successor.IsZero() {
		return c.refuse(notFound("hand over", q.Agent, fmt.Sprintf("no instance %q waits for it", q.To)))
	}
	c.revise()
	if err := c.end(r, 0, reason(`handed over to "`+q.To+`"`, q.Reason)); err != nil {
		return Result{}, err
	}
	r.holders[0].successor = successor
	res := c.result()
	res.Released = true
	return res, nil
}

func reason(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

// isNext reports whether a lease is open and of an instance.
func (c *changes) isNext(id hawser.LeaseID, instance string) bool {
	if id.IsZero() {
		return false
	}
	l, err := c.lease(id)
	return err == nil && l.instance == instance
}

// waiting returns the first lease of an instance that waits, zero for none.
func (c *changes) waiting(r *resource, instance string) (found hawser.LeaseID, err error) {
	var failed error
	err = c.waiters(r, func(w contender) bool {
		l, err := c.lease(w.lease)
		if err != nil {
			failed = err
			return false
		}
		if l.isOpen() && l.instance == instance {
			found = w.lease
		}
		return found.IsZero()
	})
	if err == nil {
		err = failed
	}
	return found, err
}

// apply removes a holder whose hold was ended and who has not acknowledged it.
// What is checked, in this order: form, term, that it is there.
func (q *Succeed) apply(c *changes) (Result, error) {
	if !validResource(q.Resource) {
		return c.refuse(invalidCommand("succeed", "the resource's kind or name is not valid"))
	}
	if q.Term != c.state.leaderTerm {
		return c.refuse(otherTerm("succeed", q.Resource.String(), q.Term, c.state.leaderTerm))
	}
	r, err := c.resource(q.Resource)
	if err != nil {
		return Result{}, err
	}
	i := slices.IndexFunc(r.holders, func(h holder) bool { return h.ended != "" && c.token(h.number) == q.Token })
	if i < 0 {
		return c.result(), nil
	}
	l, err := c.lease(r.holders[i].lease)
	if err != nil {
		return Result{}, err
	}
	c.revise()
	err = c.vacate(r, l, r.holders[i].ended, q.Ranking)
	res := c.result()
	res.Released = true
	return res, err
}
