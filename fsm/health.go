// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"fmt"

	"github.com/hawserdb/hawser"
)

// maxHealthChanges is how many changes one [SetHealth] has.
const maxHealthChanges = 400

// SetHealth notes how the owners of agents do, as the leader judges it. Nothing else in
// the machine depends on that.
type SetHealth struct {
	// Term is that of the leader that has judged: refused after a newer one has started,
	// which judges anew.
	Term    uint64
	Changes []HealthChange
}

// HealthChange is one of an owner. It changes nothing if the claim is not live any more,
// or the state is the same.
type HealthChange struct {
	Agent hawser.AgentID
	// Token is that of the claim.
	Token  uint64
	State  hawser.HealthState
	Reason string
}

// Note records something that happened to an agent outside of the machine: an event and
// nothing else.
type Note struct {
	Agent hawser.AgentID
	// Kind is one of the RUNTIME kinds.
	Kind hawser.EventKind
	// Number is a version that it is about, 0 for none.
	Number           uint64
	Instance, Reason string
	Generation       uint64
}

func (*SetHealth) kind() commandKind { return kindSetHealth }
func (*Note) kind() commandKind      { return kindNote }

func (s *SetHealth) appendBody(dst []byte) []byte {
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, s.Term), uint64(len(s.Changes)))
	for i := range s.Changes {
		h := &s.Changes[i]
		dst = binary.AppendUvarint(appendAgent(dst, h.Agent), h.Token)
		dst = appendBytes(append(dst, byte(h.State)), h.Reason)
	}
	return dst
}

// minHealthChange is the fewest bytes that a change takes.
const minHealthChange = 5

func (s *SetHealth) parseBody(r *reader) {
	s.Term = r.uvarint()
	for range r.count(minHealthChange) {
		s.Changes = append(s.Changes, HealthChange{Agent: r.agent(), Token: r.uvarint(), State: hawser.HealthState(r.byte()), Reason: r.string()})
	}
}

func (n *Note) appendBody(dst []byte) []byte {
	dst = binary.AppendUvarint(append(appendAgent(dst, n.Agent), byte(n.Kind)), n.Number)
	return binary.AppendUvarint(appendBytes(appendBytes(dst, n.Instance), n.Reason), n.Generation)
}

func (n *Note) parseBody(r *reader) {
	n.Agent, n.Kind, n.Number = r.agent(), hawser.EventKind(r.byte()), r.uvarint()
	n.Instance, n.Reason, n.Generation = r.string(), r.string(), r.uvarint()
}

// apply notes changes. What is checked, in this order: form, the term.
func (s *SetHealth) apply(c *changes) (Result, error) {
	if len(s.Changes) > maxHealthChanges {
		return c.refuse(invalidCommand("set health", fmt.Sprintf("%d changes, %d are possible", len(s.Changes), maxHealthChanges)))
	}
	for i := range s.Changes {
		if h := &s.Changes[i]; !validAgent(h.Agent) || h.State > hawser.HealthHealthy || len(h.Reason) > maxReason {
			return c.refuse(invalidCommand("set health", "an agent's name, the state or the reason is not valid"))
		}
	}
	if s.Term != c.state.leaderTerm {
		return c.refuse(otherTerm("set health", fmt.Sprintf("%d agents", len(s.Changes)), s.Term, c.state.leaderTerm))
	}
	changed := false
	for i := range s.Changes {
		set, err := c.setHealth(&s.Changes[i])
		if err != nil {
			return Result{}, err
		}
		changed = changed || set
	}
	if changed {
		c.revise()
	}
	return c.result(), nil
}

// setHealth reports whether something has changed.
func (c *changes) setHealth(h *HealthChange) (bool, error) {
	r, err := c.resource(claimOf(h.Agent))
	if err != nil {
		return false, err
	}
	live := r.live()
	if live == nil || c.token(live.number) != h.Token || r.health == h.State {
		return false, nil
	}
	r.health, r.changed = h.State, true
	c.emit(hawser.Event{
		Kind: hawser.EventHealthChanged, Name: h.Agent, Number: uint64(h.State), Token: h.Token,
		Instance: live.instance, Lease: live.lease, Reason: h.Reason,
	})
	return true, nil
}

// apply records an event. What is checked, in this order: form, generation.
func (n *Note) apply(c *changes) (Result, error) {
	switch {
	case !validAgent(n.Agent) || len(n.Instance) > maxKeyPart || len(n.Reason) > maxReason:
		return c.refuse(invalidCommand("note", "the agent's name, the instance or the reason is not valid"))
	case n.Kind != hawser.EventRuntimeStateBad && n.Kind != hawser.EventRuntimeRecovery:
		return c.refuse(invalidCommand("note", "its kind is not one of the runtime's"))
	}
	if g := n.Generation; g != 0 && g != c.state.generation {
		return c.refuse(wrongGeneration("note", n.Agent, g, c.state.generation))
	}
	c.revise()
	c.emit(hawser.Event{Kind: n.Kind, Name: n.Agent, Number: n.Number, Instance: n.Instance, Reason: n.Reason})
	return c.result(), nil
}
