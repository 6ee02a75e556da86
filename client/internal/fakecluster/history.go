// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fakecluster

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// again is a version equal to n, which is one of source.
func (n *number) again(kind hawser.RequestKind, source *hawserv1.Agent, instance string) number {
	return number{kind: kind, path: n.path, sum: n.sum, state: n.state, version: &hawserv1.Version{
		Size: n.version.GetSize(), Sha256: n.version.GetSha256(), Instance: instance, Labels: n.version.GetLabels(),
		ContentType: n.version.GetContentType(), Schema: n.version.GetSchema(),
		Origin: &hawserv1.VersionRef{Agent: source, Number: n.version.GetNumber()},
	}}
}

// Rollback implements hawserv1.StateServer.
func (s *state) Rollback(_ context.Context, r *hawserv1.RollbackRequest) (*hawserv1.RollbackResponse, error) {
	v, repeated, err := s.appendAgain(r.GetAgent(), r.GetRequest(), hawser.RequestRollback, r.ExpectVersion, r.GetAgent(), r.GetVersion(), r.GetInstance())
	if err != nil {
		return nil, err
	}
	return &hawserv1.RollbackResponse{Header: s.header(), Version: v, Repeated: repeated}, nil
}

// Fork implements hawserv1.StateServer.
func (s *state) Fork(_ context.Context, r *hawserv1.ForkRequest) (*hawserv1.ForkResponse, error) {
	none := uint64(0)
	v, repeated, err := s.appendAgain(r.GetAgent(), r.GetRequest(), hawser.RequestFork, &none, r.GetSource(), r.GetSourceVersion(), r.GetInstance())
	if err != nil {
		return nil, err
	}
	return &hawserv1.ForkResponse{Header: s.header(), Version: v, Repeated: repeated}, nil
}

func (s *state) header() *hawserv1.Header {
	s.node.cluster.mu.Lock()
	defer s.node.cluster.mu.Unlock()
	return s.node.headerLocked()
}

// appendAgain executes a rollback or a fork.
func (s *state) appendAgain(target *hawserv1.Agent, id *hawserv1.RequestID, kind hawser.RequestKind, expect *uint64,
	source *hawserv1.Agent, version uint64, instance string,
) (v *hawserv1.Version, repeated bool, err error) {
	c, end, err := s.begin()
	if err != nil {
		return nil, false, err
	}
	defer end()
	agent, err := wire.AgentFromProto(target)
	if err != nil {
		return nil, false, refuse(err)
	}
	ch := c.chainLocked(agent)
	found, err := c.repeatLocked(ch, agent, id, kind, expect)
	switch {
	case err != nil:
		return nil, false, err
	case found != nil:
		return found.version, true, nil
	case expect != nil && *expect != ch.live:
		return nil, false, ch.conflict(agent, expect)
	}
	origin, err := c.findLocked(source, version)
	if err != nil {
		return nil, false, err
	}
	made := origin.again(kind, source, instance)
	c.appendLocked(agent, ch, id, made)
	return made.version, false, nil
}

// Pin implements hawserv1.StateServer.
func (s *state) Pin(_ context.Context, r *hawserv1.PinRequest) (*hawserv1.PinResponse, error) {
	c, end, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	found, err := c.findLocked(r.GetAgent(), r.GetVersion())
	if err != nil {
		return nil, err
	}
	found.version = proto.CloneOf(found.version)
	found.version.Pinned = r.GetPinned()
	return &hawserv1.PinResponse{Header: s.node.headerLocked(), Version: found.version}, nil
}

// Impact implements hawserv1.StateServer. It follows what versions were
// derived from and what they repeat, not succession.
func (s *state) Impact(_ context.Context, r *hawserv1.ImpactRequest) (*hawserv1.ImpactResponse, error) {
	c, end, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	if _, err := c.findLocked(r.GetAgent(), r.GetVersion()); err != nil {
		return nil, err
	}
	resp := &hawserv1.ImpactResponse{Header: s.node.headerLocked()}
	rests := []*hawserv1.VersionRef{{Agent: r.GetAgent(), Number: r.GetVersion()}}
	for len(rests) > 0 {
		ref := rests[0]
		rests = rests[1:]
		for _, id := range c.idsLocked() {
			var numbers []uint64
			for _, n := range c.agents[id].numbers {
				from := append(slices.Clone(n.version.GetDerivedFrom()), n.version.GetOrigin())
				if n.path != nil && slices.ContainsFunc(from, func(f *hawserv1.VersionRef) bool { return proto.Equal(f, ref) }) {
					numbers = append(numbers, n.version.GetNumber())
					rests = append(rests, &hawserv1.VersionRef{Agent: n.version.GetAgent(), Number: n.version.GetNumber()})
				}
			}
			if len(numbers) > 0 {
				resp.Affected = append(resp.Affected, &hawserv1.Affected{Agent: wire.AgentToProto(id), Versions: numbers, Via: ref})
			}
		}
	}
	if limit := int(r.GetLimit()); limit > 0 && len(resp.GetAffected()) > limit {
		resp.Affected, resp.Truncated = resp.GetAffected()[:limit], true
	}
	return resp, nil
}

// Verify implements hawserv1.StateServer.
func (s *state) Verify(r *hawserv1.VerifyRequest, stream grpc.ServerStreamingServer[hawserv1.VerifyResponse]) error {
	c, end, err := s.begin()
	if err != nil {
		return err
	}
	defer end()
	sum := &hawserv1.VerifyResponse{Header: s.node.headerLocked()}
	for _, id := range c.idsLocked() {
		if !inside(id, r.GetNamespace(), r.GetPrefix()) {
			continue
		}
		m := &hawserv1.VerifyResponse{Header: s.node.headerLocked(), Agent: wire.AgentToProto(id)}
		for _, n := range c.agents[id].numbers {
			if n.path == nil {
				continue
			}
			m.Versions++
			m.Bytes += n.version.GetSize()
			if state, err := record.Materialise(n.path, hawser.MaxStateSize); err != nil || uint64(len(state)) != n.version.GetSize() {
				m.Bad = append(m.Bad, &hawserv1.BadVersion{Number: n.version.GetNumber(), Reason: "does not match"})
			}
		}
		sum.Versions += m.GetVersions()
		sum.Bytes += m.GetBytes()
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	return stream.Send(sum)
}

// Damage changes a byte of what is stored of a version, which must have one.
func (c *Cluster) Damage(ref hawser.VersionRef) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := &c.agents[ref.Agent].numbers[ref.Number-1]
	last := len(n.path) - 1
	n.path = slices.Clone(n.path)
	n.path[last].Data = slices.Clone(n.path[last].Data)
	n.path[last].Data[0] ^= 1
}
