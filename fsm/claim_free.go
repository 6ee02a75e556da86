// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/hawserdb/hawser"
)

// maxClaimed is how many agents one [ClaimFree] names: each makes an event.
const maxClaimed = 256

// ClaimFree claims those of some agents that are free under a lease: that have a
// version, no owner and nobody who waits. The others are passed over, and so are
// all that come after the lease holds as much as it can. One that the lease holds
// already gives the same grant again. Result.Claims tells of those that it holds
// then.
type ClaimFree struct {
	Lease      hawser.LeaseID
	Namespace  string
	Names      []string
	Generation uint64
}

// Claimed is an agent that a lease holds.
type Claimed struct {
	Agent hawser.AgentID
	Grant
}

func (*ClaimFree) kind() commandKind { return kindClaimFree }

func (q *ClaimFree) appendBody(dst []byte) []byte {
	dst = appendBytes(append(dst, q.Lease[:]...), q.Namespace)
	dst = binary.AppendUvarint(dst, uint64(len(q.Names)))
	for _, name := range q.Names {
		dst = appendBytes(dst, name)
	}
	return binary.AppendUvarint(dst, q.Generation)
}

func (q *ClaimFree) parseBody(r *reader) {
	q.Lease, q.Namespace = r.lease(), r.string()
	for range r.count(1) {
		q.Names = append(q.Names, r.string())
	}
	q.Generation = r.uvarint()
}

func (q *ClaimFree) check() error {
	if len(q.Names) > maxClaimed {
		return invalidCommand("claim free", fmt.Sprintf("%d agents; %d are possible", len(q.Names), maxClaimed))
	}
	for _, name := range q.Names {
		if !validAgent(hawser.AgentID{Namespace: q.Namespace, Name: name}) {
			return invalidCommand("claim free", "an agent's name is not valid")
		}
	}
	return nil
}

// apply claims what is free. What is checked, in this order: form, generation,
// lease.
func (q *ClaimFree) apply(c *changes) (Result, error) {
	if err := q.check(); err != nil {
		return c.refuse(err)
	}
	if g := q.Generation; g != 0 && g != c.state.generation {
		return c.refuse(otherGeneration("claim free", q.Namespace, g, c.state.generation))
	}
	l, err := c.lease(q.Lease)
	if err != nil {
		return Result{}, err
	}
	if !l.isOpen() {
		return c.refuse(leaseExpired("claim free", q.Lease))
	}
	var claims []Claimed
	for _, name := range q.Names {
		id := hawser.AgentID{Namespace: q.Namespace, Name: name}
		grant, err := c.claimFree(id, l)
		if err != nil {
			return Result{}, err
		}
		if grant != nil {
			claims = append(claims, Claimed{Agent: id, Grant: *grant})
		}
	}
	res := c.result()
	res.Claims = claims
	return res, nil
}

// claimFree returns the grant of an agent that is the lease's by now, nil when it is
// not.
func (c *changes) claimFree(id hawser.AgentID, l *lease) (*Grant, error) {
	a, err := c.agent(id)
	if err != nil {
		return nil, err
	}
	r := &resource{}
	if a.busy || a.live != 0 {
		if r, err = c.resource(claimOf(id)); err != nil {
			return nil, err
		}
	}
	live := r.live()
	switch {
	case live != nil && live.lease == l.id:
	case a.live == 0 || a.busy || l.held >= maxHolds:
		return nil, nil //nolint:nilnil // nil says that it is not, as documented
	default:
		c.revise()
		r.capacity = 1
		if err := c.grant(r, l); err != nil {
			return nil, err
		}
		if err := c.settle(r); err != nil {
			return nil, err
		}
	}
	res, err := c.granted(r, l, nil)
	return res.Grant, err
}

// Free lists the first agents below a prefix, as [View.Agents] has it, that are
// free as [ClaimFree] has it, and counts all that have a version. It reads their
// records.
func (v *View) Free(namespace, prefix string, limit int) (free []string, agents int, err error) {
	if v.state.importing {
		return nil, 0, errImporting()
	}
	s, err := newSelection(namespace, prefix)
	if err != nil {
		return nil, 0, err
	}
	if namespace == "" {
		return nil, 0, invalidCommand("free", "it needs a namespace")
	}
	look := func(key, value []byte) (bool, error) {
		id, ok := splitAgentKey(key)
		rec, err := parseAgent(value)
		if !ok || err != nil {
			return false, damagedKey("agent", id, 0)
		}
		if agents++; !rec.busy && len(free) < limit {
			free = append(free, id.Name)
		}
		return true, nil
	}
	if s.root != "" {
		key := agentKey(nil, prefixAgent, hawser.AgentID{Namespace: namespace, Name: s.root})
		if err := v.scan(key, append(slices.Clip(key), 0), look); err != nil {
			return nil, 0, err
		}
	}
	lower := agentKey(nil, prefixAgent, hawser.AgentID{Namespace: namespace, Name: s.below})
	err = v.scan(lower, keyAfterPrefix(lower), look)
	return free, agents, err
}

// ClaimsOf lists the agents below a prefix that a lease holds, and counts in held
// also those that it waits for or that somebody has taken from it without its
// acknowledgement. It lists at most limit of those after the first skip.
func (v *View) ClaimsOf(lease hawser.LeaseID, namespace, prefix string, skip, limit int) (claims []Claimed, held int, err error) {
	s, err := newSelection(namespace, prefix)
	if err != nil {
		return nil, 0, err
	}
	look := func(key, _ []byte) (bool, error) {
		name, ok := splitHeldKey(key)
		if !ok {
			return false, damaged("hold of lease "+lease.String(), errMalformed)
		}
		held++
		if held <= skip || len(claims) >= limit {
			return true, nil
		}
		hold, err := v.Hold(name, lease)
		if hold.State == HoldGranted {
			claims = append(claims, Claimed{Agent: name.Name, Grant: Grant{Granted: true, Token: hold.Token, Head: hold.Head, Seen: hold.Seen}})
		}
		return true, err
	}
	key := func(name string) []byte {
		return heldKey(lease, claimOf(hawser.AgentID{Namespace: namespace, Name: name}))
	}
	if s.root != "" {
		root := key(s.root)
		if err := v.scan(root, append(slices.Clip(root), 0), look); err != nil {
			return nil, 0, err
		}
	}
	lower := key(s.below)
	err = v.scan(lower, keyAfterPrefix(lower), look)
	return claims, held, err
}
