// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"slices"

	"github.com/hawserdb/hawser"
)

// resource is something that is held or waited for, while a batch is applied.
type resource struct {
	name hawser.Resource
	resourceRecord
	stored, changed bool
}

// resourceRecord is what the machine keeps of a resource as long as somebody
// holds it or waits for it.
type resourceRecord struct {
	// capacity is how many may hold it at once.
	capacity uint64
	// waiting counts those who wait, sequence those who ever did since the
	// resource was free.
	waiting, sequence uint64
	// front is at most the turn of the first who waits.
	front turn
	// holders are there in the order of their grants.
	holders []holder
	// health is how the owner of an agent does, as a leader has judged it last.
	health hawser.HealthState
}

// holder is who holds a resource.
type holder struct {
	lease    hawser.LeaseID
	instance string
	ttl      int64
	// number is the agent's epoch or the grant number of the lock.
	number uint64
	since  int64
	// ended is why somebody else has ended the hold, empty while it is good.
	// The holder keeps its place until it acknowledges that or its time is over.
	ended string
	// successor is who comes next whatever the order of the queue, zero for none.
	successor hawser.LeaseID
}

func (r *resourceRecord) isFree() bool { return uint64(len(r.holders)) < r.capacity }

// holder returns the index of a lease's hold, -1 when it has none.
func (r *resourceRecord) holder(lease hawser.LeaseID) int {
	return slices.IndexFunc(r.holders, func(h holder) bool { return h.lease == lease })
}

// live returns who holds an agent, nil when nobody does, or not any more.
func (r *resourceRecord) live() *holder {
	if len(r.holders) == 1 && r.holders[0].ended == "" {
		return &r.holders[0]
	}
	return nil
}

func (r *resourceRecord) append(dst []byte) []byte {
	dst = append(dst, storedFormat)
	for _, v := range [...]uint64{r.capacity, r.waiting, r.sequence} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = binary.AppendUvarint(r.front.append(dst), uint64(len(r.holders)))
	for i := range r.holders {
		h := &r.holders[i]
		dst = appendBytes(append(dst, h.lease[:]...), h.instance)
		for _, v := range [...]uint64{uint64(h.ttl), h.number, uint64(h.since)} {
			dst = binary.AppendUvarint(dst, v)
		}
		dst = append(appendBytes(dst, h.ended), h.successor[:]...)
	}
	if r.health != hawser.HealthUnknown {
		dst = append(dst, byte(r.health))
	}
	return dst
}

// minHolder is the fewest bytes that a holder takes.
const minHolder = 16 + 5 + 16

func parseResource(b []byte) (resourceRecord, error) {
	r := &reader{b: b}
	if r.byte() != storedFormat {
		return resourceRecord{}, errMalformed
	}
	rec := resourceRecord{capacity: r.uvarint(), waiting: r.uvarint(), sequence: r.uvarint(), front: r.turn()}
	for range r.count(minHolder) {
		rec.holders = append(rec.holders, holder{
			lease: r.lease(), instance: r.string(), ttl: r.int63(), number: r.uvarint(), since: r.int63(), ended: r.string(), successor: r.lease(),
		})
	}
	if len(r.b) > 0 {
		rec.health = hawser.HealthState(r.byte())
		r.bad = r.bad || rec.health == hawser.HealthUnknown || rec.health > hawser.HealthHealthy || len(rec.holders) != 1
	}
	if len(rec.holders) == 0 && rec.waiting == 0 || rec.capacity == 0 {
		r.fail()
	}
	return rec, r.end()
}

// resource returns a resource as the batch has left it so far; one that nobody
// holds or waits for has capacity 0.
func (c *changes) resource(name hawser.Resource) (*resource, error) {
	if r, ok := c.resources[name]; ok {
		return r, nil
	}
	c.key = resourceKey(c.key[:0], prefixResource, name)
	rec, ok, err := readResource(c.src, c.key, name)
	if err != nil {
		return nil, err
	}
	r := &resource{name: name, resourceRecord: rec, stored: ok}
	if c.resources == nil {
		c.resources = make(map[hawser.Resource]*resource)
	}
	c.resources[name] = r
	c.resourceOrder = append(c.resourceOrder, r)
	return r, nil
}

func readResource(src source, key []byte, name hawser.Resource) (resourceRecord, bool, error) {
	value, ok, err := src.Get(key)
	if err != nil || !ok {
		return resourceRecord{}, false, err
	}
	rec, err := parseResource(value)
	if err != nil {
		return resourceRecord{}, false, damaged(name.String(), err)
	}
	return rec, true, nil
}

// settle is called after every change of a resource. One that nobody holds or
// waits for is forgotten, and whoever describes an agent learns whether to look
// for its claim.
func (c *changes) settle(r *resource) error {
	r.changed = true
	busy := len(r.holders) > 0 || r.waiting > 0
	if !busy {
		r.resourceRecord = resourceRecord{}
	}
	if r.name.Kind != hawser.ResourceClaim {
		return nil
	}
	a, err := c.agent(r.name.Name)
	if err != nil || a.busy == busy {
		return err
	}
	a.busy, a.changed = busy, true
	return nil
}

func (c *changes) finishResources() {
	for _, r := range c.resourceOrder {
		if !r.changed {
			continue
		}
		c.key = resourceKey(c.key[:0], prefixResource, r.name)
		if r.capacity != 0 {
			c.value = r.append(c.value[:0])
			c.batch.Set(c.key, c.value)
		} else if r.stored {
			c.batch.Delete(c.key)
		}
		r.stored, r.changed = r.capacity != 0, false
	}
}

func validResource(r hawser.Resource) bool {
	return (r.Kind == hawser.ResourceClaim || r.Kind == hawser.ResourceLock) && validAgent(r.Name)
}

func appendResource(dst []byte, r hawser.Resource) []byte {
	return appendAgent(append(dst, byte(r.Kind)), r.Name)
}

func appendLeases(dst []byte, leases []hawser.LeaseID) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(leases)))
	for _, l := range leases {
		dst = append(dst, l[:]...)
	}
	return dst
}

func (r *reader) resource() hawser.Resource {
	return hawser.Resource{Kind: hawser.ResourceKind(r.byte()), Name: r.agent()}
}

func (r *reader) lease() (id hawser.LeaseID) {
	copy(id[:], r.take(uint64(len(id))))
	return id
}

func (r *reader) leases() []hawser.LeaseID {
	n := r.count(len(hawser.LeaseID{}))
	if n == 0 {
		return nil
	}
	leases := make([]hawser.LeaseID, n)
	for i := range leases {
		leases[i] = r.lease()
	}
	return leases
}
