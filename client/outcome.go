// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// OutcomeState says what became of a request.
type OutcomeState uint8

const (
	// OutcomeDone says that it was executed.
	OutcomeDone OutcomeState = iota + 1
	// OutcomeNotDone says that it was not executed up to the revision of the answer. An
	// attempt that is still on its way may execute it later.
	OutcomeNotDone
	// OutcomeExpired says that it is too late to tell.
	OutcomeExpired
)

// String returns the state in words.
func (s OutcomeState) String() string {
	switch s {
	case OutcomeDone:
		return "done"
	case OutcomeNotDone:
		return "not done"
	case OutcomeExpired:
		return "expired"
	}
	return fmt.Sprintf("outcome %d", uint8(s))
}

// Outcome is what became of a request.
type Outcome struct {
	State OutcomeState
	// Version is what a save, rollback or fork made; zero unless it is done.
	Version hawser.Version
	// Number is the number that the request took in the agent's chain.
	Number uint64
	// Revision and Generation are what the answer reflects.
	Revision   hawser.Revision
	Generation hawser.Generation
}

// Outcome tells what became of a write whose answer was lost, from the id in
// its *hawser.UnknownOutcomeError. It executes nothing.
func (c *Client) Outcome(ctx context.Context, id hawser.RequestID) (Outcome, error) {
	if id.Kind < hawser.RequestSave || id.Kind > hawser.RequestFork || id.Agent.IsZero() {
		return Outcome{}, &hawser.Error{Code: hawser.CodeInvalid, Op: "outcome", Msg: "the request id is of no kind that this client knows"}
	}
	return c.outcome(ctx, id)
}

func (c *Client) outcome(ctx context.Context, id hawser.RequestID) (Outcome, error) {
	req := &hawserv1.OutcomeRequest{
		Agent: wire.AgentToProto(id.Agent), Request: wire.RequestToProto(id, 0),
		Kind: hawserv1.RequestKind(id.Kind), ExpectVersion: id.Expect,
	}
	var resp *hawserv1.OutcomeResponse
	err := c.do(ctx, &call{
		op: "outcome", key: id.Agent.String(), leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			var err error
			resp, err = hawserv1.NewStateClient(s.conn).Outcome(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{
		Version: wire.VersionFromProto(resp.GetVersion()), Number: resp.GetNumber(),
		Revision:   hawser.Revision(resp.GetHeader().GetRevision()),
		Generation: hawser.Generation(resp.GetHeader().GetGeneration()),
	}
	switch resp.GetOutcome() {
	case hawserv1.OutcomeResponse_OUTCOME_DONE:
		out.State = OutcomeDone
	case hawserv1.OutcomeResponse_OUTCOME_NOT_DONE:
		out.State = OutcomeNotDone
	case hawserv1.OutcomeResponse_OUTCOME_EXPIRED:
		out.State = OutcomeExpired
	case hawserv1.OutcomeResponse_OUTCOME_UNSPECIFIED:
		return Outcome{}, unknownAnswer("outcome", id.Agent)
	default:
		return Outcome{}, unknownAnswer("outcome", id.Agent)
	}
	out.Number = max(out.Number, out.Version.Number)
	return out, nil
}

func unknownAnswer(op string, agent hawser.AgentID) error {
	return &hawser.Error{
		Code: hawser.CodeInternal, Op: op, Key: agent.String(),
		Msg: "the node's answer is not one that this client knows; use a newer client",
	}
}
