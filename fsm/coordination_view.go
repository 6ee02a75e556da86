// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hawserdb/hawser"
)

// LeaseInfo describes a lease.
type LeaseInfo struct {
	ID       hawser.LeaseID
	Instance string
	TTL      time.Duration
	OpenedAt time.Time
	// Held counts what it holds and where it waits.
	Held uint64
	// Ended is set when it was ended and has something left: see [EndLease].
	Ended bool
}

// HoldState says what a lease has in a resource.
type HoldState uint8

const (
	// HoldNone is nothing.
	HoldNone HoldState = iota
	// HoldQueued is a place in the queue.
	HoldQueued
	// HoldGranted is the resource.
	HoldGranted
	// HoldEnded is a hold that somebody else has ended and that was not
	// acknowledged yet.
	HoldEnded
)

// String returns the state in words.
func (s HoldState) String() string {
	switch s {
	case HoldNone:
		return "none"
	case HoldQueued:
		return "queued"
	case HoldGranted:
		return "granted"
	case HoldEnded:
		return "ended"
	}
	return fmt.Sprintf("hold state %d", uint8(s))
}

// Hold is what one lease has in one resource.
type Hold struct {
	State HoldState
	// Token is the fence of a hold, Reason why it was ended.
	Token  uint64
	Reason string
	// Head is the head of the agent that is held, nil when it has no version,
	// and Seen the newest number of its chain.
	Head *hawser.Version
	Seen uint64
}

// EndedHold is a hold that somebody else has ended and that was not
// acknowledged yet.
type EndedHold struct {
	Resource hawser.Resource
	Lease    hawser.LeaseID
	Token    uint64
	Reason   string
}

// Lease describes a lease; ok is false when there is none.
func (v *View) Lease(id hawser.LeaseID) (info LeaseInfo, ok bool, err error) {
	rec, ok, err := readLease(v.snap, leaseKey(nil, id), id)
	return rec.info(id), ok, err
}

func (l *leaseRecord) info(id hawser.LeaseID) LeaseInfo {
	return LeaseInfo{
		ID: id, Instance: l.instance, TTL: time.Duration(l.ttl), OpenedAt: unix(l.opened), Held: l.held, Ended: l.ended != "",
	}
}

// Leases lists leases in the order of their ids: those after one, and at most
// limit of them.
func (v *View) Leases(after hawser.LeaseID, limit int) ([]LeaseInfo, error) {
	var leases []LeaseInfo
	err := v.scan(append(leaseKey(nil, after), 0), []byte{prefixLease + 1}, func(key, value []byte) (bool, error) {
		rec, err := parseLease(value)
		if err != nil || len(key) != 1+len(hawser.LeaseID{}) {
			return false, damaged("lease", errMalformed)
		}
		leases = append(leases, rec.info(hawser.LeaseID(key[1:])))
		return len(leases) < limit, nil
	})
	return leases, err
}

// scan calls yield with the stored values from lower to upper until it returns
// false.
func (v *View) scan(lower, upper []byte, yield func(key, value []byte) (bool, error)) error {
	if v.state.importing {
		return errImporting()
	}
	it, err := v.snap.Iter(lower, upper)
	if err != nil {
		return err
	}
	for more := true; more && err == nil && it.Next(); {
		more, err = yield(it.Key(), it.Value())
	}
	return errors.Join(err, it.Close())
}

// HoldsOf lists the first resources that a lease holds or waits for.
func (v *View) HoldsOf(lease hawser.LeaseID, limit int) ([]hawser.Resource, error) {
	lower := leaseKey(nil, lease)
	lower[0] = prefixHeld
	var resources []hawser.Resource
	err := v.scan(lower, keyAfter(lower), func(key, _ []byte) (bool, error) {
		name, ok := splitHeldKey(key)
		if !ok {
			return false, damaged("hold of lease "+lease.String(), errMalformed)
		}
		resources = append(resources, name)
		return len(resources) < limit, nil
	})
	return resources, err
}

// EndedHolds lists the claims that somebody else has ended and whose holders
// have not acknowledged it. It looks at all claims.
func (v *View) EndedHolds() ([]EndedHold, error) {
	var ended []EndedHold
	lower := []byte{prefixResource, byte(hawser.ResourceClaim)}
	err := v.scan(lower, keyAfter(lower), func(key, value []byte) (bool, error) {
		name, ok := splitResource(key[1:])
		rec, err := parseResource(value)
		if !ok || err != nil {
			return false, damaged("resource", errMalformed)
		}
		for _, h := range rec.holders {
			if h.ended != "" {
				ended = append(ended, EndedHold{Resource: name, Lease: h.lease, Token: v.token(h.number), Reason: h.ended})
			}
		}
		return true, nil
	})
	return ended, err
}

func (v *View) token(number uint64) uint64 {
	return hawser.NewToken(hawser.Generation(v.state.generation), number)
}

func (v *View) resource(name hawser.Resource) (resourceRecord, bool, error) {
	if !validResource(name) {
		return resourceRecord{}, false, invalidCommand("resource", "its kind or name is not valid")
	}
	if v.state.importing {
		return resourceRecord{}, false, errImporting()
	}
	return readResource(v.snap, resourceKey(nil, prefixResource, name), name)
}

// Hold tells what a lease has in a resource. The error matches
// hawser.ErrLeaseExpired when the lease is not open.
func (v *View) Hold(name hawser.Resource, lease hawser.LeaseID) (Hold, error) {
	rec, _, err := v.resource(name)
	if err != nil {
		return Hold{}, err
	}
	l, _, err := readLease(v.snap, leaseKey(nil, lease), lease)
	if err != nil {
		return Hold{}, err
	}
	if !l.isOpen() {
		return Hold{}, leaseExpired("hold "+name.String(), lease)
	}
	if i := rec.holder(lease); i >= 0 {
		h := rec.holders[i]
		if h.ended != "" {
			return Hold{State: HoldEnded, Token: v.token(h.number), Reason: h.ended}, nil
		}
		return v.granted(name, Hold{State: HoldGranted, Token: v.token(h.number)})
	}
	_, queued, err := v.snap.Get(heldKey(lease, name))
	if err != nil || !queued {
		return Hold{}, err
	}
	return Hold{State: HoldQueued}, nil
}

func (v *View) granted(name hawser.Resource, h Hold) (Hold, error) {
	if name.Kind != hawser.ResourceClaim {
		return h, nil
	}
	rec, err := v.known(name.Name)
	if err != nil {
		return Hold{}, err
	}
	a, err := v.describe(name.Name, rec)
	h.Head, h.Seen = a.Version, rec.head
	return h, err
}

// Waiters lists the first of those who wait for a resource, in order.
func (v *View) Waiters(name hawser.Resource, limit int) ([]hawser.Waiter, error) {
	lower := append(resourceKey(nil, prefixWaiter, name), 0)
	var waiters []hawser.Waiter
	err := v.scan(lower, keyAfter(lower), func(key, value []byte) (bool, error) {
		w, err := parseContender(key, value)
		if err != nil {
			return false, damaged("waiter for "+name.String(), err)
		}
		l, _, err := readLease(v.snap, leaseKey(nil, w.lease), w.lease)
		if err != nil {
			return false, err
		}
		waiters = append(waiters, hawser.Waiter{Lease: w.lease, Instance: l.instance, Priority: w.priority, Since: unix(w.since)})
		return len(waiters) < limit, nil
	})
	return waiters, err
}

// maxListedWaiters is the most waiters in a description of a resource.
const maxListedWaiters = 100

// Holding describes a resource; ok is false when nobody holds it or waits for
// it.
func (v *View) Holding(name hawser.Resource) (holding hawser.Holding, ok bool, err error) {
	rec, ok, err := v.resource(name)
	if err != nil {
		return hawser.Holding{}, false, err
	}
	holding, err = v.holding(name, rec)
	return holding, ok, err
}

func (v *View) holding(name hawser.Resource, rec resourceRecord) (hawser.Holding, error) {
	h := hawser.Holding{Resource: name, Capacity: max(uint32(rec.capacity), 1), Waiting: int(rec.waiting)}
	for _, holder := range rec.holders {
		h.Epoch = max(h.Epoch, holder.number)
		h.Holders = append(h.Holders, hawser.Holder{
			Lease: holder.lease, Instance: holder.instance, Token: v.token(holder.number), TTL: time.Duration(holder.ttl),
			Since: unix(holder.since), Ending: holder.ended != "", Reason: holder.ended, Health: rec.health,
		})
	}
	var err error
	if rec.waiting > 0 {
		if h.Waiters, err = v.Waiters(name, maxListedWaiters); err != nil {
			return hawser.Holding{}, err
		}
	}
	if name.Kind != hawser.ResourceClaim {
		return h, nil
	}
	a, err := v.known(name.Name)
	h.Epoch, h.Fenced = a.epoch, a.fenced
	return h, err
}

// Holdings lists the resources of a kind and namespace that are held or waited
// for, as [View.Agents] lists agents.
func (v *View) Holdings(kind hawser.ResourceKind, namespace, prefix, after string, limit int) ([]hawser.Holding, error) {
	named := func(name string) hawser.Resource {
		return hawser.Resource{Kind: kind, Name: hawser.AgentID{Namespace: namespace, Name: name}}
	}
	if !validResource(named("a")) || prefix != "" && !validPart(prefix) || after != "" && !validPart(after) {
		return nil, invalidCommand("holdings", "the kind or a name is not valid")
	}
	limit = page(limit)
	var holdings []hawser.Holding
	root, below := strings.TrimSuffix(prefix, "/"), ""
	if prefix != "" {
		below = root + "/"
	}
	if prefix != "" && root == prefix && after < root {
		h, ok, err := v.Holding(named(root))
		if err != nil {
			return nil, err
		}
		if ok {
			holdings = append(holdings, h)
		}
	}
	lower := resourceKey(nil, prefixResource, named(below))
	upper := keyAfter(lower)
	if after >= below && after != "" {
		lower = append(resourceKey(nil, prefixResource, named(after)), 0)
	}
	if string(lower) >= string(upper) || len(holdings) >= limit {
		return holdings, nil
	}
	err := v.scan(lower, upper, func(key, value []byte) (bool, error) {
		name, ok := splitResource(key[1:])
		rec, err := parseResource(value)
		if !ok || err != nil {
			return false, damaged("resource", errMalformed)
		}
		h, err := v.holding(name, rec)
		holdings = append(holdings, h)
		return len(holdings) < limit, err
	})
	return holdings, err
}
