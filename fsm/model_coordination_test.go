// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// modelCoordination is what leases, claims and locks should be.
type modelCoordination struct {
	term      uint64
	grants    uint64
	leases    map[hawser.LeaseID]*modelLease
	resources map[hawser.Resource]*modelResource
}

type modelLease struct {
	instance string
	ended    bool
}

type modelResource struct {
	capacity, sequence int
	holders            []modelHolder
	queue              []modelWaiter
	health             hawser.HealthState
}

type modelHolder struct {
	lease     hawser.LeaseID
	number    uint64
	ended     bool
	successor hawser.LeaseID
}

type modelWaiter struct {
	lease    hawser.LeaseID
	priority int32
	sequence int
}

func (m *model) resource(name hawser.Resource) *modelResource {
	c := &m.coordination
	if c.resources == nil {
		c.resources, c.leases = map[hawser.Resource]*modelResource{}, map[hawser.LeaseID]*modelLease{}
	}
	if c.resources[name] == nil {
		c.resources[name] = &modelResource{}
	}
	return c.resources[name]
}

func claim(id hawser.AgentID) hawser.Resource {
	return hawser.Resource{Kind: hawser.ResourceClaim, Name: id}
}

func (r *modelResource) live() *modelHolder {
	if len(r.holders) > 0 && !r.holders[0].ended {
		return &r.holders[0]
	}
	return nil
}

// fence is what a write with this authority meets at the fence.
func (m *model) fence(id hawser.AgentID, fence uint64, force bool) hawser.Code {
	a, live := m.agent(id), m.resource(claim(id)).live()
	switch {
	case fence == 0 && (force || !a.fenced):
		return hawser.CodeOK
	case fence>>32 != m.generation && fence != 0:
		return hawser.CodeWrongGeneration
	case fence != 0 && live != nil && live.number == fence&(1<<32-1) && !m.coordination.leases[live.lease].ended:
		return hawser.CodeOK
	}
	return hawser.CodeFenced
}

// force ends the claim of an agent.
func (m *model) force(id hawser.AgentID, forced bool) {
	if live := m.resource(claim(id)).live(); forced && live != nil {
		live.ended = true
		m.agent(id).epoch++
	}
}

// coordinate does what a command should, and returns its code.
func (m *model) coordinate(c fsm.Command, res fsm.Result) hawser.Code {
	m.t.Helper()
	m.resource(claim(agentID("a"))) // makes the maps
	leases := m.coordination.leases
	switch c := c.(type) {
	case *fsm.OpenLease:
		switch l := leases[c.Lease]; {
		case l == nil:
			leases[c.Lease] = &modelLease{instance: c.Instance}
			m.revision++
		case l.ended:
			return hawser.CodeLeaseExpired
		}
	case *fsm.EndLease:
		l := leases[c.Lease]
		switch {
		case l == nil:
			return hawser.CodeOK
		case c.Term != 0 && c.Term != m.coordination.term:
			return hawser.CodeRefused
		}
		m.revision++
		l.ended = true
		m.leaveAll(c)
		delete(leases, c.Lease)
	case *fsm.Acquire:
		return m.acquire(c, res)
	case *fsm.ClaimFree:
		return m.claimFree(c, res)
	case *fsm.Release:
		r := m.resource(c.Resource)
		i := slices.IndexFunc(r.holders, func(h modelHolder) bool { return h.lease == c.Lease })
		left := c.Token == 0 || i >= 0 && m.generation<<32+r.holders[i].number == c.Token
		left = left && m.leave(c.Resource, c.Lease, c.Ranking)
		if left {
			m.revision++
		}
		m.released(res, left)
	case *fsm.EndClaim:
		return m.endClaim(c, res)
	case *fsm.Succeed:
		if c.Term != m.coordination.term {
			return hawser.CodeRefused
		}
		for _, h := range m.resource(c.Resource).holders {
			if h.ended && m.generation<<32+h.number == c.Token {
				m.revision++
				m.leave(c.Resource, h.lease, c.Ranking)
				m.released(res, true)
				return hawser.CodeOK
			}
		}
		m.released(res, false)
	case *fsm.SetHealth:
		if c.Term != m.coordination.term {
			return hawser.CodeRefused
		}
		changed := false
		for _, h := range c.Changes {
			r := m.resource(claim(h.Agent))
			if live := r.live(); live != nil && m.generation<<32+live.number == h.Token && r.health != h.State {
				r.health, changed = h.State, true
			}
		}
		if changed {
			m.revision++
		}
	}
	return hawser.CodeOK
}

func (m *model) released(res fsm.Result, want bool) {
	m.t.Helper()
	if res.Released != want {
		m.t.Fatalf("released %t, expected %t", res.Released, want)
	}
}

func (m *model) leaveAll(c *fsm.EndLease) {
	names := make([]hawser.Resource, 0, len(m.coordination.resources))
	for name := range m.coordination.resources {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b hawser.Resource) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name.Name, b.Name.Name))
	})
	for _, name := range names {
		var ranking []hawser.LeaseID
		for _, r := range c.Rankings {
			if r.Resource == name {
				ranking = r.Candidates
			}
		}
		m.leave(name, c.Lease, ranking)
	}
}

// leave takes a lease off a resource, and serves the others.
func (m *model) leave(name hawser.Resource, lease hawser.LeaseID, ranking []hawser.LeaseID) bool {
	r := m.resource(name)
	if i := slices.IndexFunc(r.queue, func(w modelWaiter) bool { return w.lease == lease }); i >= 0 {
		r.queue = slices.Delete(r.queue, i, i+1)
		return true
	}
	i := slices.IndexFunc(r.holders, func(h modelHolder) bool { return h.lease == lease })
	if i < 0 {
		return false
	}
	h := r.holders[i]
	if !h.ended && name.Kind == hawser.ResourceClaim {
		m.agent(name.Name).epoch++
	}
	r.holders, r.health = slices.Delete(r.holders, i, i+1), hawser.HealthUnknown
	m.serve(name, slices.Concat([]hawser.LeaseID{h.successor}, ranking))
	return true
}

func (m *model) serve(name hawser.Resource, ranking []hawser.LeaseID) {
	r := m.resource(name)
	for len(r.queue) > 0 && len(r.holders) < r.capacity {
		slices.SortFunc(r.queue, func(a, b modelWaiter) int {
			return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.sequence, b.sequence))
		})
		next := 0
		for _, id := range slices.Backward(ranking) {
			if i := slices.IndexFunc(r.queue, func(w modelWaiter) bool { return w.lease == id }); i >= 0 {
				next = i
			}
		}
		lease := r.queue[next].lease
		r.queue = slices.Delete(r.queue, next, next+1)
		if !m.coordination.leases[lease].ended {
			m.grant(name, lease)
		}
	}
}

func (m *model) grant(name hawser.Resource, lease hawser.LeaseID) {
	r, h := m.resource(name), modelHolder{lease: lease}
	if name.Kind == hawser.ResourceClaim {
		a := m.agent(name.Name)
		a.epoch++
		a.fenced, h.number = true, a.epoch
	} else {
		m.coordination.grants++
		h.number = m.coordination.grants
	}
	r.holders = append(r.holders, h)
}

func (m *model) acquire(c *fsm.Acquire, res fsm.Result) hawser.Code {
	m.t.Helper()
	if l := m.coordination.leases[c.Lease]; l == nil || l.ended {
		return hawser.CodeLeaseExpired
	}
	r := m.resource(c.Resource)
	idle := len(r.holders) == 0 && len(r.queue) == 0
	capacity := int(max(c.Capacity, 1))
	for _, h := range r.holders {
		if h.lease == c.Lease && h.ended {
			return hawser.CodeOwnershipLost
		}
	}
	holds := slices.ContainsFunc(r.holders, func(h modelHolder) bool { return h.lease == c.Lease })
	i := slices.IndexFunc(r.queue, func(w modelWaiter) bool { return w.lease == c.Lease })
	switch {
	case holds:
	case i >= 0:
		if r.queue[i].priority != c.Priority {
			r.queue[i].priority = c.Priority
			m.revision++
		}
	case !idle && r.capacity != capacity:
		return hawser.CodeRefused
	case c.NoWait && len(r.holders) == capacity:
		return hawser.CodeBusy
	default:
		m.revision++
		if idle {
			r.capacity, r.sequence = capacity, 0
		}
		if len(r.holders) < capacity {
			m.grant(c.Resource, c.Lease)
			break
		}
		r.queue = append(r.queue, modelWaiter{c.Lease, c.Priority, r.sequence})
		r.sequence++
	}
	want := uint64(0)
	for _, h := range r.holders {
		if h.lease == c.Lease {
			want = m.generation<<32 + h.number
		}
	}
	if res.Grant == nil || res.Grant.Granted != (want != 0) || res.Grant.Token != want {
		m.t.Fatalf("%+v: granted %+v (%v), expected token %x", c, res.Grant, res.Err, want)
	}
	return hawser.CodeOK
}

// claimFree claims what is free, and compares with what the machine says that the
// lease holds.
func (m *model) claimFree(c *fsm.ClaimFree, res fsm.Result) hawser.Code {
	m.t.Helper()
	if l := m.coordination.leases[c.Lease]; l == nil || l.ended {
		return hawser.CodeLeaseExpired
	}
	before := m.revision
	want := map[hawser.AgentID]uint64{}
	for _, name := range c.Names {
		id := agentID(name)
		r := m.resource(claim(id))
		if len(r.holders) == 0 && len(r.queue) == 0 && m.agent(id).live != 0 {
			r.capacity, r.sequence = 1, 0
			m.grant(claim(id), c.Lease)
			m.revision = before + 1
		}
		if live := r.live(); live != nil && live.lease == c.Lease {
			want[id] = m.generation<<32 + live.number
		}
	}
	got := map[hawser.AgentID]uint64{}
	for _, claimed := range res.Claims {
		got[claimed.Agent] = claimed.Token
	}
	if !maps.Equal(got, want) {
		m.t.Fatalf("%+v: claims %v (%v), expected %v", c, got, res.Err, want)
	}
	return hawser.CodeOK
}

func (m *model) endClaim(c *fsm.EndClaim, res fsm.Result) hawser.Code {
	m.t.Helper()
	a, r := m.agent(c.Agent), m.resource(claim(c.Agent))
	live, instance := r.live(), func(id hawser.LeaseID) string {
		if l := m.coordination.leases[id]; l != nil {
			return l.instance
		}
		return ""
	}
	switch {
	case c.Unclaim && !a.fenced && (c.Epoch == a.epoch || c.Epoch+1 == a.epoch):
		m.released(res, false)
		return hawser.CodeOK
	case c.Unclaim && c.Epoch == a.epoch:
		a.fenced = false
		m.force(c.Agent, true)
	case c.Unclaim:
		return hawser.CodeFenced
	case live == nil && len(r.holders) == 1 && r.holders[0].number == c.Epoch && instance(r.holders[0].successor) == c.To,
		live != nil && live.number == c.Epoch+2 && instance(live.lease) == c.To:
		m.released(res, false)
		return hawser.CodeOK
	case live == nil || live.number != c.Epoch:
		return hawser.CodeFenced
	default:
		slices.SortFunc(r.queue, func(a, b modelWaiter) int {
			return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.sequence, b.sequence))
		})
		i := slices.IndexFunc(r.queue, func(w modelWaiter) bool { return instance(w.lease) == c.To })
		if i < 0 {
			return hawser.CodeNotFound
		}
		live.successor = r.queue[i].lease
		m.force(c.Agent, true)
	}
	m.revision++
	m.released(res, true)
	return hawser.CodeOK
}

// checkHoldings compares every resource with the machine's.
func (m *model) checkHoldings(v *fsm.View) {
	m.t.Helper()
	for name, r := range m.coordination.resources {
		got, ok, err := v.Holding(name)
		if err != nil {
			m.t.Fatal(err)
		}
		if ok != (len(r.holders)+len(r.queue) > 0) || len(got.Holders) != len(r.holders) || got.Waiting != len(r.queue) {
			m.t.Fatalf("%s: %+v, expected %+v", name, got, r)
		}
		for i, h := range got.Holders {
			if want := r.holders[i]; h.Lease != want.lease || h.Token != m.generation<<32+want.number || h.Ending != want.ended || h.Health != r.health {
				m.t.Fatalf("%s: holder %+v, expected %+v", name, h, want)
			}
		}
		for _, w := range r.queue {
			if hold, err := v.Hold(name, w.lease); err != nil || hold.State != fsm.HoldQueued {
				m.t.Fatalf("%s: %x has %+v, %v", name, w.lease, hold, err)
			}
		}
	}
}

// fence returns the fence of an agent's claim, mostly: 0 when there is none.
func (g *generator) fence(id hawser.AgentID) uint64 {
	live := g.model.resource(claim(id)).live()
	switch n := g.rng.IntN(30); {
	case n == 0:
		return g.model.generation<<32 + g.rng.Uint64N(9)
	case live == nil || n == 1:
		return 0
	}
	return g.model.generation<<32 + live.number
}

func (g *generator) lease() hawser.LeaseID { return hawser.LeaseID{1 + byte(g.rng.IntN(8))} }

// coordinate makes commands of instances that come and go.
func (g *generator) coordinate() fsm.Command {
	name, id := claim(g.name()), g.lease()
	if g.rng.IntN(3) == 0 {
		name = hawser.Resource{Kind: hawser.ResourceLock, Name: agentID([]string{"m", "semaphore"}[g.rng.IntN(2)])}
	}
	r, term := g.model.resource(name), g.model.coordination.term
	if g.rng.IntN(10) == 0 {
		term++
	}
	ranking := []hawser.LeaseID{g.lease(), g.lease()}
	switch n := g.rng.IntN(104); {
	case n >= 100:
		h := &fsm.SetHealth{Term: term}
		for range 1 + g.rng.IntN(3) {
			h.Changes = append(h.Changes, fsm.HealthChange{Agent: g.name(), State: hawser.HealthState(g.rng.IntN(4)), Reason: "why"})
			if live := g.model.resource(claim(h.Changes[len(h.Changes)-1].Agent)).live(); live != nil && g.rng.IntN(5) > 0 {
				h.Changes[len(h.Changes)-1].Token = g.model.generation<<32 + live.number
			}
		}
		return h
	case n < 25:
		return &fsm.OpenLease{Lease: id, Instance: fmt.Sprintf("i%d", id[0]%4), TTL: hawser.DefaultTTL, Generation: g.model.generation}
	case n < 32:
		return &fsm.EndLease{Lease: id, Term: term * uint64(g.rng.IntN(2)), Rankings: []fsm.Ranking{{Resource: name, Candidates: ranking}}}
	case n < 42:
		return &fsm.ClaimFree{Lease: id, Namespace: hawser.DefaultNamespace, Names: []string{g.name().Name, g.name().Name, g.name().Name}}
	case n < 70:
		c := &fsm.Acquire{Resource: name, Lease: id, Priority: g.rng.Int32N(5) - 2, NoWait: g.rng.IntN(8) == 0}
		if name.Name.Name == "semaphore" && g.rng.IntN(15) > 0 {
			c.Capacity = 3
		}
		return c
	case n < 85:
		q := &fsm.Release{Resource: name, Lease: id, Ranking: ranking}
		if len(r.holders) > 0 && g.rng.IntN(3) > 0 {
			h := r.holders[g.rng.IntN(len(r.holders))]
			q.Lease, q.Token = h.lease, (g.model.generation<<32+h.number)*uint64(g.rng.IntN(2))
		}
		return q
	case n < 90 && len(r.holders) > 0:
		return &fsm.Succeed{Resource: name, Token: g.model.generation<<32 + r.holders[0].number, Term: term, Ranking: ranking}
	}
	end := &fsm.EndClaim{Agent: g.name(), Unclaim: g.rng.IntN(2) == 0, Reason: "why"}
	end.Epoch = g.model.agent(end.Agent).epoch - min(g.model.agent(end.Agent).epoch, g.rng.Uint64N(6)/4)
	if !end.Unclaim {
		end.To = fmt.Sprintf("i%d", g.rng.IntN(4))
	}
	return end
}
