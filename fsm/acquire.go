// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"fmt"

	"github.com/hawserdb/hawser"
)

// Acquire asks for a resource under a lease. It is granted when it is free,
// else the lease is queued; Result.Grant says which. A lease that holds the
// resource gets the same grant again, one that waits may change its priority.
type Acquire struct {
	Resource hawser.Resource
	Lease    hawser.LeaseID
	// Priority puts it before those of a lower one in the queue.
	Priority int32
	// Capacity is how many may hold a lock at once, 0 for 1.
	Capacity uint32
	// NoWait has it refused, not queued, when the resource is not free.
	NoWait     bool
	Generation uint64
}

// Grant is what became of an [Acquire].
type Grant struct {
	// Granted is set when the lease holds the resource, and waits no more.
	Granted bool
	// Token is the fence.
	Token uint64
	// Head is the head of the agent, nil when it has no version, and Seen the
	// newest number of its chain.
	Head *hawser.Version
	Seen uint64
	// Position is how many are before it in the queue, 100 for more than that.
	Position int
}

func (*Acquire) kind() commandKind { return kindAcquire }

func (q *Acquire) appendBody(dst []byte) []byte {
	dst = append(appendResource(dst, q.Resource), q.Lease[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(q.Priority))
	dst = appendBool(binary.AppendUvarint(dst, uint64(q.Capacity)), q.NoWait)
	return binary.AppendUvarint(dst, q.Generation)
}

func (q *Acquire) parseBody(r *reader) {
	q.Resource, q.Lease, q.Priority = r.resource(), r.lease(), int32(r.fixed32())
	q.Capacity, q.NoWait, q.Generation = r.uint32(), r.bool(), r.uvarint()
}

func (q *Acquire) check() error {
	switch {
	case !validResource(q.Resource):
		return invalidCommand("acquire", "the resource's kind or name is not valid")
	case q.Capacity > maxCapacity || q.Resource.Kind == hawser.ResourceClaim && q.Capacity > 1:
		return invalidCommand("acquire", fmt.Sprintf("a capacity of %d; a semaphore has at most %d, an agent one owner", q.Capacity, maxCapacity))
	}
	return nil
}

// apply grants or queues. What is checked, in this order: form, generation,
// lease, what the lease has there already, the limits of the lease and the
// queue.
func (q *Acquire) apply(c *changes) (Result, error) {
	if err := q.check(); err != nil {
		return c.refuse(err)
	}
	if g := q.Generation; g != 0 && g != c.state.generation {
		return c.refuse(otherGeneration("acquire", q.Resource.String(), g, c.state.generation))
	}
	l, err := c.lease(q.Lease)
	if err != nil {
		return Result{}, err
	}
	if !l.isOpen() {
		return c.refuse(leaseExpired("acquire "+q.Resource.String(), q.Lease))
	}
	r, err := c.resource(q.Resource)
	if err != nil {
		return Result{}, err
	}
	has, err := c.has(q.Lease, q.Resource)
	if err != nil {
		return Result{}, err
	}
	if has != nil {
		return c.acquireAgain(q, r, l, has)
	}
	if refusal := c.refusal(q, r, l); refusal != nil {
		return c.refuse(refusal)
	}
	c.revise()
	r.capacity = uint64(max(q.Capacity, 1))
	if r.isFree() && r.waiting == 0 {
		if err := c.grant(r, l); err != nil {
			return Result{}, err
		}
		return c.granted(r, l, c.settle(r))
	}
	t := c.enqueue(r, l, q.Priority)
	return c.queued(r, t, c.settle(r))
}

// acquireAgain is for a lease that has the resource, or a place in its queue.
func (c *changes) acquireAgain(q *Acquire, r *resource, l *lease, has *hold) (Result, error) {
	if !has.queued {
		if i := r.holder(l.id); i >= 0 && r.holders[i].ended != "" {
			return c.refuse(&hawser.Error{
				Code: hawser.CodeOwnershipLost, Op: "acquire", Key: q.Resource.String(), Msg: r.holders[i].ended + "; give it back first (release)",
			})
		}
		res, err := c.granted(r, l, nil)
		res.Repeated = true
		return res, err
	}
	if q.Priority == has.turn.priority {
		res, err := c.queued(r, has.turn, nil)
		res.Repeated = true
		return res, err
	}
	c.revise()
	return c.queued(r, c.reorder(r, l, has.turn, q.Priority), nil)
}

// refusal is why a lease can get neither the resource nor a place, nil when it
// can.
func (c *changes) refusal(q *Acquire, r *resource, l *lease) error {
	refuse := func(code hawser.Code, format string, args ...any) error {
		return &hawser.Error{Code: code, Op: "acquire", Key: q.Resource.String(), Msg: fmt.Sprintf(format, args...)}
	}
	switch {
	case l.held >= maxHolds:
		return refuse(hawser.CodeOverloaded, "the lease holds or waits for %d resources; open another one", l.held)
	case r.capacity != 0 && r.capacity != uint64(max(q.Capacity, 1)):
		return refuse(hawser.CodeRefused, "its capacity is %d as long as it is in use, not %d", r.capacity, max(q.Capacity, 1))
	case q.NoWait && r.capacity != 0 && len(r.holders) > 0 && (!r.isFree() || r.waiting > 0):
		return refuse(hawser.CodeBusy, "%q holds it", r.holders[0].instance)
	case r.waiting >= maxWaiters:
		return refuse(hawser.CodeOverloaded, "%d wait for it", r.waiting)
	}
	return nil
}

// grant makes a lease a holder, with a number above all that were given for
// the resource.
func (c *changes) grant(r *resource, l *lease) error {
	h := holder{lease: l.id, instance: l.instance, ttl: l.ttl, since: c.state.time}
	e := hawser.Event{Kind: hawser.EventLockGranted, Name: r.name.Name, Instance: l.instance, Lease: l.id}
	if r.name.Kind == hawser.ResourceClaim {
		a, err := c.agent(r.name.Name)
		if err != nil {
			return err
		}
		a.epoch++
		a.fenced, a.changed = true, true
		h.number, e.Kind = a.epoch, hawser.EventClaimGranted
	} else {
		c.state.grants++
		h.number = c.state.grants
	}
	e.Token = c.token(h.number)
	r.holders = append(r.holders, h)
	c.putListed(heldKey(l.id, r.name), hold{}.encode())
	l.held, l.changed = l.held+1, true
	c.emit(e)
	return nil
}

func (c *changes) token(number uint64) uint64 {
	return hawser.NewToken(hawser.Generation(c.state.generation), number)
}

// serve grants a resource as far as it is free to those who wait: to the first
// of the ranking that still does, else to the first of the queue. A lease that
// was ended is passed over: its place goes with it.
func (c *changes) serve(r *resource, ranking []hawser.LeaseID) error {
	for r.isFree() && r.waiting > 0 {
		l, t, err := c.next(r, ranking)
		if err != nil {
			return err
		}
		if l == nil {
			return damaged("queue for "+r.name.String(), errMalformed)
		}
		c.dequeue(r, l, t)
		if !l.isOpen() {
			continue
		}
		if err := c.grant(r, l); err != nil {
			return err
		}
	}
	return nil
}

func (c *changes) next(r *resource, ranking []hawser.LeaseID) (*lease, turn, error) {
	for _, id := range ranking {
		has, err := c.has(id, r.name)
		if err != nil {
			return nil, turn{}, err
		}
		if has != nil && has.queued {
			l, err := c.lease(id)
			return l, has.turn, err
		}
	}
	var first *contender
	if err := c.waiters(r, func(w contender) bool { first = &w; return false }); err != nil || first == nil {
		return nil, turn{}, err
	}
	r.front = first.turn
	l, err := c.lease(first.lease)
	return l, first.turn, err
}

// granted tells a lease of its hold.
func (c *changes) granted(r *resource, l *lease, err error) (Result, error) {
	i := r.holder(l.id)
	if err != nil || i < 0 {
		return Result{}, err
	}
	res := c.result()
	res.Grant = &Grant{Granted: true, Token: c.token(r.holders[i].number)}
	if r.name.Kind != hawser.ResourceClaim {
		return res, nil
	}
	a, err := c.agent(r.name.Name)
	if err != nil {
		return Result{}, err
	}
	res.Grant.Seen = a.head
	if a.live == 0 {
		return res, nil
	}
	rec, err := c.record(a.id, a.live)
	if err == nil && rec == nil {
		err = damagedKey("record", a.id, a.live)
	}
	if err != nil {
		return Result{}, err
	}
	head := rec.version(a.id)
	res.Grant.Head = &head
	return res, nil
}

func (c *changes) queued(r *resource, t turn, err error) (Result, error) {
	if err != nil {
		return Result{}, err
	}
	res := c.result()
	n, err := c.position(r, t)
	res.Grant = &Grant{Position: n}
	return res, err
}

func otherGeneration(op, key string, asked, have uint64) error {
	return &hawser.Error{
		Code: hawser.CodeWrongGeneration, Op: op, Key: key,
		Msg: fmt.Sprintf("the request is of generation %d, the cluster of %d; what was held is lost: begin anew", asked, have),
	}
}
