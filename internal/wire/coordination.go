// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// LeaseFromProto returns the lease that b names. Errors match
// hawser.ErrInvalid.
func LeaseFromProto(b []byte) (hawser.LeaseID, error) {
	if len(b) != len(hawser.LeaseID{}) || hawser.LeaseID(b).IsZero() {
		return hawser.LeaseID{}, &hawser.Error{Code: hawser.CodeInvalid, Op: "lease", Msg: fmt.Sprintf("an id has 16 bytes, not all zero; this one has %d", len(b))}
	}
	return hawser.LeaseID(b), nil
}

// leaseFromNode returns the lease in a node's answer, zero for none.
func leaseFromNode(b []byte) (lease hawser.LeaseID) {
	copy(lease[:], b)
	return lease
}

// ResourceToProto returns r as a message.
func ResourceToProto(r hawser.Resource) *hawserv1.Resource {
	return &hawserv1.Resource{Kind: hawserv1.ResourceKind(r.Kind), Name: AgentToProto(r.Name)}
}

// ResourceFromProto returns the resource that m names, in canonical form.
// Errors match hawser.ErrInvalid.
func ResourceFromProto(m *hawserv1.Resource) (hawser.Resource, error) {
	kind := hawser.ResourceKind(m.GetKind())
	if hawserv1.ResourceKind(kind) != m.GetKind() || kind != hawser.ResourceClaim && kind != hawser.ResourceLock {
		return hawser.Resource{}, &hawser.Error{Code: hawser.CodeInvalid, Op: "resource", Msg: "is neither a claim nor a lock"}
	}
	name, err := AgentFromProto(m.GetName())
	return hawser.Resource{Kind: kind, Name: name}, err
}

// ResourceFromNode returns the resource in a node's answer.
func ResourceFromNode(m *hawserv1.Resource) hawser.Resource {
	return hawser.Resource{Kind: hawser.ResourceKind(m.GetKind()), Name: agentFromNode(m.GetName())}
}

// HoldingToProto returns h as a message.
func HoldingToProto(h hawser.Holding) *hawserv1.Holding {
	m := &hawserv1.Holding{
		Resource: ResourceToProto(h.Resource), Capacity: h.Capacity, Waiting: uint32(h.Waiting), Epoch: h.Epoch, Fenced: h.Fenced,
	}
	for _, holder := range h.Holders {
		m.Holders = append(m.Holders, &hawserv1.Holder{
			Lease: holder.Lease[:], Instance: holder.Instance, Token: holder.Token, Ttl: durationpb.New(holder.TTL),
			Since: timestamppb.New(holder.Since), Ending: holder.Ending, Reason: holder.Reason,
			Health: hawserv1.HealthState(holder.Health),
		})
	}
	for _, w := range h.Waiters {
		m.Waiters = append(m.Waiters, &hawserv1.Waiter{
			Lease: w.Lease[:], Instance: w.Instance, Priority: w.Priority, Since: timestamppb.New(w.Since),
		})
	}
	return m
}

// HoldingFromProto returns the resource in a node's answer.
func HoldingFromProto(m *hawserv1.Holding) hawser.Holding {
	h := hawser.Holding{
		Resource: ResourceFromNode(m.GetResource()), Capacity: m.GetCapacity(), Waiting: int(m.GetWaiting()), Epoch: m.GetEpoch(), Fenced: m.GetFenced(),
	}
	for _, holder := range m.GetHolders() {
		h.Holders = append(h.Holders, hawser.Holder{
			Lease: leaseFromNode(holder.GetLease()), Instance: holder.GetInstance(), Token: holder.GetToken(), TTL: holder.GetTtl().AsDuration(),
			Since: timeFromProto(holder.GetSince()), Ending: holder.GetEnding(), Reason: holder.GetReason(),
			Health: healthState(holder.GetHealth()),
		})
	}
	for _, w := range m.GetWaiters() {
		h.Waiters = append(h.Waiters, hawser.Waiter{
			Lease: leaseFromNode(w.GetLease()), Instance: w.GetInstance(), Priority: w.GetPriority(), Since: timeFromProto(w.GetSince()),
		})
	}
	return h
}

// EventToProto returns e as a message.
func EventToProto(e hawser.Event) *hawserv1.Event {
	m := &hawserv1.Event{
		Kind: hawserv1.EventKind(e.Kind), Revision: uint64(e.Revision), Time: timestamppb.New(e.Time), Name: AgentToProto(e.Name),
		Number: e.Number, Last: e.Last, Size: uint64(e.Size), Token: e.Token, Instance: e.Instance, Reason: e.Reason,
		Txn: e.Txn, Effect: e.Effect,
	}
	if !e.Lease.IsZero() {
		m.Lease = e.Lease[:]
	}
	return m
}

// EventFromProto returns the event in a node's answer. Its kind may be one of a
// newer node.
func EventFromProto(m *hawserv1.Event) hawser.Event {
	return hawser.Event{
		Kind: hawser.EventKind(m.GetKind()), Revision: hawser.Revision(m.GetRevision()), Time: timeFromProto(m.GetTime()), Name: agentFromNode(m.GetName()),
		Number: m.GetNumber(), Last: m.GetLast(), Size: int64(m.GetSize()), Token: m.GetToken(), Instance: m.GetInstance(), Reason: m.GetReason(),
		Lease: leaseFromNode(m.GetLease()), Txn: m.GetTxn(), Effect: m.GetEffect(),
	}
}
