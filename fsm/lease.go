// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/hawserdb/hawser"
)

// Rules of coordination that are frozen at the feature level that set them.
const (
	minTTL      = 500 * time.Millisecond
	maxTTL      = time.Hour
	maxLeases   = 200_000
	maxHolds    = 10_000
	maxWaiters  = 10_000
	maxCapacity = 1_000
	// maxReason is the longest reason for an end, in bytes.
	maxReason = 256
	// maxEnds is how many holds and places one [EndLease] ends: each makes two
	// events at most.
	maxEnds = 400
)

// OpenLease opens a lease, under which resources can be held. Opening one that
// is open changes nothing. The machine knows no deadlines: somebody who has a
// clock ends the lease.
type OpenLease struct {
	Lease    hawser.LeaseID
	Instance string
	TTL      time.Duration
	// Generation is the one that the client knew; 0 for none.
	Generation uint64
}

// EndLease ends a lease, so that no fence under it is good any more, and then
// what it held and where it waited: 400 resources at most. Result.More says
// that some are left: repeat it.
type EndLease struct {
	Lease hawser.LeaseID
	// Term is 0 when the holder itself ends it. Else its time is over, by the
	// clock of the leader that started this term; the command is refused when
	// another one has started since, because that one counts anew.
	Term uint64
	// Rankings say whom to serve first, where that is not the order of the queue.
	Rankings   []Ranking
	Generation uint64
}

// Ranking is whom to serve first when a resource becomes free: the first of
// the candidates that still waits for it, else the first of the queue.
type Ranking struct {
	Resource   hawser.Resource
	Candidates []hawser.LeaseID
}

func (*OpenLease) kind() commandKind { return kindOpenLease }
func (*EndLease) kind() commandKind  { return kindEndLease }

func (o *OpenLease) appendBody(dst []byte) []byte {
	dst = appendBytes(append(dst, o.Lease[:]...), o.Instance)
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(o.TTL)), o.Generation)
}

func (o *OpenLease) parseBody(r *reader) {
	o.Lease, o.Instance, o.TTL, o.Generation = r.lease(), r.string(), time.Duration(r.int63()), r.uvarint()
}

func (e *EndLease) appendBody(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, e.Lease[:]...), e.Term)
	dst = binary.AppendUvarint(dst, uint64(len(e.Rankings)))
	for _, ranking := range e.Rankings {
		dst = appendLeases(appendResource(dst, ranking.Resource), ranking.Candidates)
	}
	return binary.AppendUvarint(dst, e.Generation)
}

func (e *EndLease) parseBody(r *reader) {
	e.Lease, e.Term = r.lease(), r.uvarint()
	for range r.count(4) {
		e.Rankings = append(e.Rankings, Ranking{Resource: r.resource(), Candidates: r.leases()})
	}
	e.Generation = r.uvarint()
}

// apply opens a lease. What is checked, in this order: form, generation, that
// it is not open or was ended, the number of leases.
func (o *OpenLease) apply(c *changes) (Result, error) {
	if o.Lease.IsZero() || len(o.Instance) > maxKeyPart || o.TTL < minTTL || o.TTL > maxTTL {
		return c.refuse(invalidCommand("open lease", fmt.Sprintf("it needs an id and a time to live from %s to %s", minTTL, maxTTL)))
	}
	if g := o.Generation; g != 0 && g != c.state.generation {
		return c.refuse(otherGeneration("open lease", o.Lease.String(), g, c.state.generation))
	}
	l, err := c.lease(o.Lease)
	switch {
	case err != nil:
		return Result{}, err
	case l.isOpen():
		res := c.result()
		res.Repeated = true
		return res, nil
	case l.ended != "":
		return c.refuse(leaseExpired("open lease", o.Lease))
	case c.state.leases >= maxLeases:
		return c.refuse(&hawser.Error{
			Code: hawser.CodeOverloaded, Op: "open lease", Key: o.Instance, Msg: fmt.Sprintf("%d leases are open; end some", c.state.leases),
		})
	}
	l.instance, l.ttl, l.opened, l.changed = o.Instance, int64(o.TTL), c.state.time, true
	c.state.leases++
	c.revise()
	return c.result(), nil
}

// apply ends a lease. What is checked, in this order: form, generation, that
// there is one, the term.
func (e *EndLease) apply(c *changes) (Result, error) {
	if e.Lease.IsZero() || len(e.Rankings) > maxEnds {
		return c.refuse(invalidCommand("end lease", "it names no lease, or too many rankings"))
	}
	if g := e.Generation; g != 0 && g != c.state.generation {
		return c.refuse(otherGeneration("end lease", e.Lease.String(), g, c.state.generation))
	}
	l, err := c.lease(e.Lease)
	if err != nil {
		return Result{}, err
	}
	switch {
	case l.isOpen() && e.Term != 0 && e.Term != c.state.leaderTerm:
		return c.refuse(otherTerm("end lease", e.Lease.String(), e.Term, c.state.leaderTerm))
	case l.isOpen():
		l.ended, l.changed = reasonReleased, true
		if e.Term != 0 {
			l.ended = reasonExpired
		}
		c.state.leases--
	case l.ended == "":
		return c.result(), nil
	}
	c.revise()
	more, err := c.leaveAll(l, e.Rankings)
	res := c.result()
	res.Released, res.More = true, more
	return res, err
}

// leaveAll ends what a lease holds and where it waits, as far as one command
// gets, and removes the lease when nothing is left.
func (c *changes) leaveAll(l *lease, rankings []Ranking) (more bool, err error) {
	resources, err := c.held(l.id, maxEnds+1)
	if err != nil {
		return false, err
	}
	if more = len(resources) > maxEnds; more {
		resources = resources[:maxEnds]
	}
	ranked := make(map[hawser.Resource][]hawser.LeaseID, len(rankings)) // looked up only
	for _, ranking := range rankings {
		ranked[ranking.Resource] = ranking.Candidates
	}
	for _, name := range resources {
		r, err := c.resource(name)
		if err != nil {
			return false, err
		}
		if _, err := c.leave(r, l, l.ended, ranked[name]); err != nil {
			return false, err
		}
	}
	if !more {
		l.leaseRecord, l.changed = leaseRecord{}, true
	}
	return more, nil
}

// Reasons for ends.
const (
	reasonReleased = "released"
	reasonExpired  = "expired"
	reasonDeleted  = "the agent was deleted"
)

// lease is a lease while a batch is applied.
type lease struct {
	id hawser.LeaseID
	leaseRecord
	stored, changed bool
}

// leaseRecord is what the machine keeps of a lease: nothing of one that is not
// open and has nothing left.
type leaseRecord struct {
	instance string
	ttl      int64
	opened   int64
	// held counts what it holds and where it waits.
	held uint64
	// ended is why it was ended, empty while it is open.
	ended string
}

func (l *leaseRecord) isOpen() bool { return l.ttl != 0 && l.ended == "" }

func (l *leaseRecord) append(dst []byte) []byte {
	dst = appendBytes(append(dst, storedFormat), l.instance)
	for _, v := range [...]uint64{uint64(l.ttl), uint64(l.opened), l.held} {
		dst = binary.AppendUvarint(dst, v)
	}
	return appendBytes(dst, l.ended)
}

func parseLease(b []byte) (leaseRecord, error) {
	r := &reader{b: b}
	if r.byte() != storedFormat {
		return leaseRecord{}, errMalformed
	}
	l := leaseRecord{instance: r.string(), ttl: r.int63(), opened: r.int63(), held: r.uvarint(), ended: r.string()}
	if l.ttl == 0 {
		r.fail()
	}
	return l, r.end()
}

// lease returns a lease as the batch has left it so far; the zero record when
// there is none.
func (c *changes) lease(id hawser.LeaseID) (*lease, error) {
	if l, ok := c.leases[id]; ok {
		return l, nil
	}
	c.key = leaseKey(c.key[:0], id)
	rec, ok, err := readLease(c.src, c.key, id)
	if err != nil {
		return nil, err
	}
	l := &lease{id: id, leaseRecord: rec, stored: ok}
	if c.leases == nil {
		c.leases = make(map[hawser.LeaseID]*lease)
	}
	c.leases[id] = l
	c.leaseOrder = append(c.leaseOrder, l)
	return l, nil
}

func readLease(src source, key []byte, id hawser.LeaseID) (leaseRecord, bool, error) {
	value, ok, err := src.Get(key)
	if err != nil || !ok {
		return leaseRecord{}, false, err
	}
	rec, err := parseLease(value)
	if err != nil {
		return leaseRecord{}, false, damaged("lease "+id.String(), err)
	}
	return rec, true, nil
}

func (c *changes) finishLeases() {
	for _, l := range c.leaseOrder {
		if !l.changed {
			continue
		}
		c.key = leaseKey(c.key[:0], l.id)
		if l.ttl != 0 {
			c.value = l.append(c.value[:0])
			c.batch.Set(c.key, c.value)
		} else if l.stored {
			c.batch.Delete(c.key)
		}
		l.stored, l.changed = l.ttl != 0, false
	}
}

func leaseExpired(op string, id hawser.LeaseID) error {
	return &hawser.Error{
		Code: hawser.CodeLeaseExpired, Op: op, Key: id.String(),
		Msg: "it is not open; what was held under it is lost: open another one",
	}
}

func otherTerm(op, key string, term, now uint64) error {
	return &hawser.Error{
		Code: hawser.CodeRefused, Op: op, Key: key, Msg: fmt.Sprintf("its time ran under term %d, and term %d has begun", term, now),
	}
}
