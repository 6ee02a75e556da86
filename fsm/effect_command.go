// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"

	"github.com/hawserdb/hawser"
)

// BeginEffect asks whether somebody may run an effect. The result's Begun says
// that it may, and Effect what is known of it.
type BeginEffect struct {
	Agent hawser.AgentID
	ID    string
	// Nonce tells a repeat of this call from another one.
	Nonce  hawser.Nonce
	Policy hawser.EffectPolicy
	// Description and Input are as in [hawser.Effect].
	Description string
	Input       hawser.Hash
	Instance    string
	// Fence is the token of the claim under which it is begun, 0 for none.
	Fence      uint64
	Generation uint64
}

// FinishEffect records how an effect ended.
type FinishEffect struct {
	Agent      hawser.AgentID
	End        EffectEnd
	Fence      uint64
	Generation uint64
}

// EffectEnd is how an effect ended.
type EffectEnd struct {
	ID string
	// Failed says that it did not happen, for Reason.
	Failed bool
	Reason string
	Result []byte
}

// ResolveEffect says how an effect ended, or that it is to be run again, in the
// place of whoever has begun it.
type ResolveEffect struct {
	Agent hawser.AgentID
	ID    string
	// State is done, failed or retry.
	State  hawser.EffectState
	Result []byte
	Reason string
	// Force does so although the one that has begun it owns the agent.
	Force      bool
	Generation uint64
}

// ForgetEffects removes effects that ended up to a version that reflects them,
// 1,000 of them. More in the result says that there are others. What forks
// inherit stays.
type ForgetEffects struct {
	Agent      hawser.AgentID
	Version    uint64
	Fence      uint64
	Generation uint64
}

func (*BeginEffect) kind() commandKind   { return kindBeginEffect }
func (*FinishEffect) kind() commandKind  { return kindFinishEffect }
func (*ResolveEffect) kind() commandKind { return kindResolveEffect }
func (*ForgetEffects) kind() commandKind { return kindForgetEffects }

func (b *BeginEffect) appendBody(dst []byte) []byte {
	dst = appendBytes(appendAgent(dst, b.Agent), b.ID)
	dst = append(append(append(dst, b.Nonce[:]...), byte(b.Policy)), b.Input[:]...)
	dst = appendBytes(appendBytes(dst, b.Description), b.Instance)
	return binary.AppendUvarint(binary.AppendUvarint(dst, b.Fence), b.Generation)
}

func (b *BeginEffect) parseBody(r *reader) {
	b.Agent, b.ID = r.agent(), r.string()
	copy(b.Nonce[:], r.take(uint64(len(b.Nonce))))
	b.Policy, b.Input = hawser.EffectPolicy(r.byte()), r.hash()
	b.Description, b.Instance, b.Fence, b.Generation = r.string(), r.string(), r.uvarint(), r.uvarint()
}

func (f *FinishEffect) appendBody(dst []byte) []byte {
	dst = appendEffectEnd(appendAgent(dst, f.Agent), f.End)
	return binary.AppendUvarint(binary.AppendUvarint(dst, f.Fence), f.Generation)
}

func (f *FinishEffect) parseBody(r *reader) {
	f.Agent, f.End, f.Fence, f.Generation = r.agent(), r.effectEnd(), r.uvarint(), r.uvarint()
}

func appendEffectEnd(dst []byte, e EffectEnd) []byte {
	return appendBytes(appendBytes(appendBool(appendBytes(dst, e.ID), e.Failed), e.Reason), e.Result)
}

func (r *reader) effectEnd() EffectEnd {
	return EffectEnd{ID: r.string(), Failed: r.bool(), Reason: r.string(), Result: r.bytes()}
}

func appendEffectEnds(dst []byte, ends []EffectEnd) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ends)))
	for _, e := range ends {
		dst = appendEffectEnd(dst, e)
	}
	return dst
}

func (r *reader) effectEnds() (ends []EffectEnd) {
	for range r.count(4) {
		ends = append(ends, r.effectEnd())
	}
	return ends
}

func (q *ResolveEffect) appendBody(dst []byte) []byte {
	dst = append(appendBytes(appendAgent(dst, q.Agent), q.ID), byte(q.State))
	return binary.AppendUvarint(appendBool(appendBytes(appendBytes(dst, q.Result), q.Reason), q.Force), q.Generation)
}

func (q *ResolveEffect) parseBody(r *reader) {
	q.Agent, q.ID, q.State = r.agent(), r.string(), hawser.EffectState(r.byte())
	q.Result, q.Reason, q.Force, q.Generation = r.bytes(), r.string(), r.bool(), r.uvarint()
}

func (f *ForgetEffects) appendBody(dst []byte) []byte {
	dst = binary.AppendUvarint(appendAgent(dst, f.Agent), f.Version)
	return binary.AppendUvarint(binary.AppendUvarint(dst, f.Fence), f.Generation)
}

func (f *ForgetEffects) parseBody(r *reader) {
	f.Agent, f.Version, f.Fence, f.Generation = r.agent(), r.uvarint(), r.uvarint(), r.uvarint()
}
