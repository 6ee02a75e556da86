// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fakecluster

import (
	"context"
	"strconv"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// chain is what is known of one agent. Number n is numbers[n-1].
type chain struct {
	numbers []number
	// live is the head, 0 when there is none.
	live uint64
}

// number is a version, or what a delete took.
type number struct {
	kind    hawser.RequestKind
	nonce   hawser.Nonce
	version *hawserv1.Version
	// path is how the version is stored, a keyframe and deltas; nil when it is
	// gone. sum is its chain, state what it makes.
	path  []record.Content
	sum   record.Chain
	state []byte
}

// gone removes the version's content.
func (n *number) gone() {
	n.path, n.state = nil, nil
	if n.version != nil {
		n.version.State = hawserv1.VersionState_VERSION_STATE_GONE
	}
}

// state is the State service of one node.
type state struct {
	hawserv1.UnimplementedStateServer
	node *node
}

// begin locks the cluster and checks that it can serve.
func (s *state) begin() (*Cluster, func(), error) {
	c := s.node.cluster
	c.mu.Lock()
	if c.leader < 0 {
		c.mu.Unlock()
		return nil, nil, wire.ToStatus(&hawser.Error{Code: hawser.CodeUnavailable, Msg: "no leader"}, wire.Leader{})
	}
	return c, c.mu.Unlock, nil
}

func (c *Cluster) chainLocked(agent hawser.AgentID) *chain {
	if found := c.agents[agent]; found != nil {
		return found
	}
	return &chain{}
}

func refuse(err error) error { return wire.ToStatus(err, wire.Leader{}) }

func refuseCode(code hawser.Code) error { return refuse(&hawser.Error{Code: code}) }

// repeat looks for an earlier execution of the request. Its error is final.
func (c *Cluster) repeatLocked(ch *chain, agent hawser.AgentID, id *hawserv1.RequestID, kind hawser.RequestKind, expect *uint64) (*number, error) {
	if id.GetGeneration() != 0 && id.GetGeneration() != c.generation {
		return nil, refuseCode(hawser.CodeWrongGeneration)
	}
	head := uint64(len(ch.numbers))
	for n := head; n > max(id.GetSeen(), head-min(head, hawser.IdempotencyWindow)); n-- {
		found := &ch.numbers[n-1]
		if found.nonce != hawser.Nonce(id.GetNonce()) {
			continue
		}
		if found.kind != kind {
			return nil, refuseCode(hawser.CodeRequestMismatch)
		}
		return found, nil
	}
	if head > id.GetSeen()+hawser.IdempotencyWindow {
		if id.GetAttempt() == 0 && expect != nil && *expect != ch.live {
			return nil, ch.conflict(agent, expect)
		}
		return nil, refuseCode(hawser.CodeRequestExpired)
	}
	return nil, nil //nolint:nilnil // none
}

func (ch *chain) conflict(agent hawser.AgentID, expect *uint64) error {
	e := &hawser.ConflictError{Agent: agent, Expected: expect}
	if ch.live != 0 {
		e.Head = wire.VersionFromProto(ch.numbers[ch.live-1].version)
	}
	return refuse(e)
}

// Delete implements hawserv1.StateServer.
func (s *state) Delete(_ context.Context, r *hawserv1.DeleteRequest) (*hawserv1.DeleteResponse, error) {
	c, end, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	agent, err := wire.AgentFromProto(r.GetAgent())
	if err != nil {
		return nil, refuse(err)
	}
	ch := c.chainLocked(agent)
	seen := r.GetRequest().GetSeen()
	found, err := c.repeatLocked(ch, agent, r.GetRequest(), hawser.RequestDelete, &seen)
	switch {
	case err != nil:
		return nil, err
	case found != nil:
		return &hawserv1.DeleteResponse{Header: s.node.headerLocked(), Number: found.version.GetNumber(), Repeated: true}, nil
	case ch.live == 0:
		return nil, refuseCode(hawser.CodeNotFound)
	case ch.live != seen:
		return nil, ch.conflict(agent, &seen)
	}
	c.revision++
	nonce := hawser.Nonce(r.GetRequest().GetNonce())
	c.executions[nonce]++
	for i := range ch.numbers {
		ch.numbers[i].gone()
	}
	n := uint64(len(ch.numbers) + 1)
	ch.numbers = append(ch.numbers, number{kind: hawser.RequestDelete, nonce: nonce, version: &hawserv1.Version{Number: n}})
	ch.live = 0
	return &hawserv1.DeleteResponse{Header: s.node.headerLocked(), Number: n}, nil
}

// Outcome implements hawserv1.StateServer.
func (s *state) Outcome(_ context.Context, r *hawserv1.OutcomeRequest) (*hawserv1.OutcomeResponse, error) {
	c, end, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	agent, err := wire.AgentFromProto(r.GetAgent())
	if err != nil {
		return nil, refuse(err)
	}
	kind := hawser.RequestKind(r.GetKind())
	found, err := c.repeatLocked(c.chainLocked(agent), agent, r.GetRequest(), kind, nil)
	resp := &hawserv1.OutcomeResponse{Header: s.node.headerLocked(), Outcome: hawserv1.OutcomeResponse_OUTCOME_NOT_DONE}
	switch {
	case hawser.CodeOf(wire.FromStatus(err)) == hawser.CodeRequestExpired:
		resp.Outcome = hawserv1.OutcomeResponse_OUTCOME_EXPIRED
	case err != nil:
		return nil, err
	case found != nil:
		resp.Outcome, resp.Number = hawserv1.OutcomeResponse_OUTCOME_DONE, found.version.GetNumber()
		if kind.MakesVersion() {
			resp.Version = found.version
		}
	}
	return resp, nil
}

// findLocked returns a version with content, the head for 0.
func (c *Cluster) findLocked(m *hawserv1.Agent, n uint64) (*number, error) {
	agent, err := wire.AgentFromProto(m)
	if err != nil {
		return nil, refuse(err)
	}
	ch := c.chainLocked(agent)
	if n == 0 {
		n = ch.live
	}
	switch {
	case n == 0 || n > uint64(len(ch.numbers)):
		return nil, refuse(&hawser.Error{Code: hawser.CodeNotFound, Op: "restore", Key: agent.String()})
	case ch.numbers[n-1].path == nil:
		return nil, refuse(&hawser.Error{Code: hawser.CodeVersionGone, Op: "restore", Key: agent.String()})
	}
	return &ch.numbers[n-1], nil
}

// Show implements hawserv1.StateServer.
func (s *state) Show(_ context.Context, r *hawserv1.ShowRequest) (*hawserv1.ShowResponse, error) {
	c, end, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	agent, err := wire.AgentFromProto(r.GetAgent())
	if err != nil {
		return nil, refuse(err)
	}
	ch := c.agents[agent]
	if ch == nil {
		return nil, refuseCode(hawser.CodeNotFound)
	}
	resp := &hawserv1.ShowResponse{Header: s.node.headerLocked(), Agent: ch.info(agent)}
	if resp.Version = resp.GetAgent().GetVersion(); r.GetVersion() != 0 {
		found, err := c.findLocked(r.GetAgent(), r.GetVersion())
		if err != nil {
			return nil, err
		}
		resp.Version = found.version
	}
	return resp, nil
}

func (ch *chain) info(agent hawser.AgentID) *hawserv1.AgentInfo {
	info := &hawserv1.AgentInfo{Agent: wire.AgentToProto(agent), Head: uint64(len(ch.numbers))}
	if ch.live != 0 {
		info.Version = ch.numbers[ch.live-1].version
	}
	for _, n := range ch.numbers {
		if n.path != nil {
			info.Versions++
			info.StoredSize += n.version.GetStoredSize()
		}
	}
	return info
}

// Versions implements hawserv1.StateServer.
func (s *state) Versions(_ context.Context, r *hawserv1.VersionsRequest) (*hawserv1.VersionsResponse, error) {
	c, end, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	head, err := c.findLocked(r.GetAgent(), 0)
	if err != nil {
		return nil, err
	}
	agent, _ := wire.AgentFromProto(r.GetAgent())
	from := head.version.GetNumber()
	if token, err := strconv.ParseUint(r.GetPageToken(), 10, 64); err == nil {
		from = token
	}
	resp := &hawserv1.VersionsResponse{Header: s.node.headerLocked()}
	for n := from; n > 0; n-- {
		if len(resp.GetVersions()) == int(r.GetLimit()) {
			resp.NextPageToken = strconv.FormatUint(n, 10)
			break
		}
		if found := c.agents[agent].numbers[n-1]; found.path != nil {
			resp.Versions = append(resp.Versions, found.version)
		}
	}
	return resp, nil
}

// Agents implements hawserv1.StateServer.
func (s *state) Agents(_ context.Context, r *hawserv1.AgentsRequest) (*hawserv1.AgentsResponse, error) {
	c, end, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	resp := &hawserv1.AgentsResponse{Header: s.node.headerLocked()}
	for _, id := range c.idsLocked() {
		if !inside(id, r.GetNamespace(), r.GetPrefix()) || id.Name <= r.GetPageToken() || c.agents[id].live == 0 {
			continue
		}
		if len(resp.GetAgents()) == int(r.GetLimit()) {
			resp.NextPageToken = resp.GetAgents()[len(resp.GetAgents())-1].GetAgent().GetName()
			break
		}
		resp.Agents = append(resp.Agents, c.agents[id].info(id))
	}
	return resp, nil
}
