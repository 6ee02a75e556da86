// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// Cut records the versions of several agents that are current at one revision,
// while they work: a point to which all of them can be rolled back together.
// [CutAgents] or [CutPrefix] says which. Retention removes none of the versions
// until the cut is deleted.
//
// A cut has one name for one purpose: made again of the same agents, or prefix,
// and with the same label, it is the one that there is, of then and not of now;
// of others it is refused with hawser.ErrRequestMismatch.
//
// Errors: hawser.ErrNotFound names the agents that have no version, or says that
// the prefix has none; hawser.ErrTooLarge for more than hawser.MaxCutAgents;
// hawser.ErrRefused when the namespace has hawser.MaxCuts already;
// hawser.ErrOutcomeUnknown, after which to repeat it does no harm.
func (c *Client) Cut(ctx context.Context, name string, opts ...CutOption) (hawser.Cut, error) {
	cut, _, err := c.makeCut(ctx, name, opts)
	return cut, err
}

// EnsureCut is [Client.Cut] and tells whether the cut was there before.
func (c *Client) EnsureCut(ctx context.Context, name string, opts ...CutOption) (cut hawser.Cut, existed bool, err error) {
	return c.makeCut(ctx, name, opts)
}

func (c *Client) makeCut(ctx context.Context, name string, opts []CutOption) (cut hawser.Cut, existed bool, err error) {
	id, err := c.cutName(name)
	if err != nil {
		return cut, false, err
	}
	var o cutOptions
	for _, opt := range opts {
		opt.applyCut(&o)
	}
	req := &hawserv1.MakeCutRequest{
		Name: wire.AgentToProto(id), Agents: slices.Compact(slices.Sorted(slices.Values(o.agents))), ByPrefix: o.byPrefix, Prefix: o.prefix,
		Label: o.label, Generation: c.generation.Load(),
	}
	switch {
	case o.byPrefix == (len(o.agents) > 0):
		return cut, false, cutError(hawser.CodeInvalid, "cut", id, "needs agents or a prefix, and not both")
	case len(req.GetAgents()) > hawser.MaxCutAgents:
		return cut, false, cutError(hawser.CodeTooLarge, "cut", id, "%d agents, %d are possible", len(req.GetAgents()), hawser.MaxCutAgents)
	}
	err = c.do(ctx, &call{
		op: "cut", key: id.String(), write: true, harmless: true, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			resp, err := hawserv1.NewCutsClient(s.conn).MakeCut(ctx, req, s.options...)
			// One that this call has made with a lost answer is its own.
			cut, existed = wire.CutFromProto(resp.GetCut()), resp.GetRepeated() && s.attempt == 0
			return resp.GetHeader(), err
		},
	})
	if err != nil {
		return hawser.Cut{}, false, err
	}
	return cut, existed, nil
}

func (c *Client) cutName(name string) (hawser.AgentID, error) {
	id, err := hawser.NewAgentID(c.cfg.Namespace, name)
	if err != nil {
		err = fmt.Errorf("cut: %w", err)
	}
	return id, err
}

func cutError(code hawser.Code, op string, name hawser.AgentID, format string, args ...any) error {
	return &hawser.Error{Code: code, Op: op, Key: name.String(), Msg: fmt.Sprintf(format, args...)}
}

// Cuts lists the cuts of the namespace in the order of their names, without
// their agents. It ends with the first error.
func (c *Client) Cuts(ctx context.Context, opts ...ListOption) iter.Seq2[hawser.Cut, error] {
	o := listOptions(opts)
	return list(o.limit, func(limit uint32, token string) ([]hawser.Cut, string, error) {
		req := &hawserv1.ListCutsRequest{Namespace: c.cfg.Namespace, Limit: limit, PageToken: token, Read: o.proto()}
		var resp *hawserv1.ListCutsResponse
		err := c.do(ctx, &call{
			op: "cuts", key: c.cfg.Namespace, leader: !o.stale,
			send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
				var err error
				resp, err = hawserv1.NewCutsClient(s.conn).ListCuts(ctx, req, s.options...)
				return resp.GetHeader(), err
			},
		})
		return convert(resp.GetCuts(), wire.CutFromProto), resp.GetNextPageToken(), err
	})
}

// ShowCut describes a cut with its agents, and says of each that cannot be
// restored any more why.
func (c *Client) ShowCut(ctx context.Context, name string) (hawser.Cut, error) {
	id, err := c.cutName(name)
	if err != nil {
		return hawser.Cut{}, err
	}
	cut, _, err := c.showCut(ctx, id)
	return cut, err
}

func (c *Client) showCut(ctx context.Context, id hawser.AgentID) (cut hawser.Cut, generation hawser.Generation, err error) {
	req := &hawserv1.ShowCutRequest{Name: wire.AgentToProto(id)}
	err = c.do(ctx, &call{
		op: "cut", key: id.String(), leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			resp, err := hawserv1.NewCutsClient(s.conn).ShowCut(ctx, req, s.options...)
			cut, generation = wire.CutFromProto(resp.GetCut()), hawser.Generation(resp.GetHeader().GetGeneration())
			return resp.GetHeader(), err
		},
	})
	return cut, generation, err
}

// RollbackTo rolls the agents of a cut back to it, at one revision: their
// undecided transactions are aborted, their claims end, the epoch of each that
// was ever claimed rises, and each gets a new version equal to the one in the cut, also one that is at
// that version already. From then on no save, vote or release counts that was
// made under a claim of before, and no save that was made from a head of before,
// unless it says [Overwrite]. Who waited for an agent gets it next, and finds it
// as it was. Agents that were made since the cut are not in it, and stay.
//
// If an agent cannot be rolled back, nothing is done, and hawser.ErrRefused
// names all of those; [LeaveOut] rolls the others back. With [DryRun] nothing is
// done, and the report tells what would be.
//
// Errors: hawser.ErrNotFound for a cut that is not there;
// *hawser.UnknownOutcomeError when it may or may not have been done: [RepeatOf]
// with its id finds out, and never does it twice.
func (c *Client) RollbackTo(ctx context.Context, name string, opts ...RollbackOption) (hawser.RollbackReport, error) {
	id, err := c.cutName(name)
	if err != nil {
		return hawser.RollbackReport{}, err
	}
	var o rollbackOptions
	for _, opt := range opts {
		opt.applyRollback(&o)
	}
	ctx, cancel := c.budget(ctx, 0)
	defer cancel()
	if o.dryRun {
		return c.planRollback(ctx, id)
	}
	request, repeat, err := c.rollbackID(ctx, id, &o)
	if err != nil {
		return hawser.RollbackReport{}, err
	}
	return c.sendRollbackTo(ctx, request, repeat, &o)
}

// rollbackID returns the id of the options, or one for the cut as it is now.
func (c *Client) rollbackID(ctx context.Context, name hawser.AgentID, o *rollbackOptions) (id hawser.RequestID, repeat bool, err error) {
	if o.id != nil {
		if o.id.Kind != hawser.RequestCutRollback || o.id.Agent != name || o.id.Expect == nil {
			return id, false, cutError(hawser.CodeInvalid, "rollback", name, "the request id is of a %s of %q", o.id.Kind, o.id.Agent)
		}
		return *o.id, true, nil
	}
	cut, generation, err := c.showCut(ctx, name)
	revision := uint64(cut.Revision)
	return hawser.RequestID{
		Nonce: hawser.NewNonce(), Kind: hawser.RequestCutRollback, Agent: name, Generation: generation, Seen: cut.RolledBack, Expect: &revision,
	}, false, err
}

func (c *Client) sendRollbackTo(ctx context.Context, id hawser.RequestID, repeat bool, o *rollbackOptions) (hawser.RollbackReport, error) {
	req := &hawserv1.RollbackToRequest{
		Name: wire.AgentToProto(id.Agent), Revision: *id.Expect, LeaveOut: o.leaveOut, Instance: c.cfg.Instance, Reason: o.reason,
	}
	var resp *hawserv1.RollbackToResponse
	err := c.do(ctx, &call{
		op: "rollback", key: id.Agent.String(), id: &id, write: true, repeat: repeat, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			req.Request = wire.RequestToProto(id, s.attempt)
			var err error
			resp, err = hawserv1.NewCutsClient(s.conn).RollbackTo(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
	if err != nil {
		return hawser.RollbackReport{}, err
	}
	return hawser.RollbackReport{
		Cut: id.Agent, Repeated: resp.GetRepeated(), Revision: hawser.Revision(resp.GetHeader().GetRevision()), Time: resp.GetTime().AsTime(),
		Agents: convert(resp.GetAgents(), wire.AgentRollbackFromProto),
	}, nil
}

func (c *Client) planRollback(ctx context.Context, name hawser.AgentID) (hawser.RollbackReport, error) {
	req := &hawserv1.PlanRollbackRequest{Name: wire.AgentToProto(name)}
	var resp *hawserv1.PlanRollbackResponse
	err := c.do(ctx, &call{
		op: "rollback", key: name.String(), leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			var err error
			resp, err = hawserv1.NewCutsClient(s.conn).PlanRollback(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
	if err != nil {
		return hawser.RollbackReport{}, err
	}
	return hawser.RollbackReport{
		Cut: name, DryRun: true, Revision: hawser.Revision(resp.GetHeader().GetRevision()), Time: resp.GetHeader().GetMachineTime().AsTime(),
		Agents: convert(resp.GetAgents(), wire.AgentRollbackFromProto), Problem: resp.GetProblem(),
	}, nil
}

// DeleteCut removes a cut; its versions are retention's again. One that is not
// there is hawser.ErrNotFound.
func (c *Client) DeleteCut(ctx context.Context, name string) error {
	id, err := c.cutName(name)
	if err != nil {
		return err
	}
	ctx, cancel := c.budget(ctx, 0)
	defer cancel()
	cut, generation, err := c.showCut(ctx, id)
	if err != nil {
		return err
	}
	// With its revision, so that a late attempt does not delete another one.
	req := &hawserv1.DeleteCutRequest{Name: wire.AgentToProto(id), Revision: uint64(cut.Revision), Generation: uint64(generation)}
	return c.do(ctx, &call{
		op: "delete cut", key: id.String(), write: true, harmless: true, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			resp, err := hawserv1.NewCutsClient(s.conn).DeleteCut(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
}

// CutOption adjusts one [Client.Cut].
type CutOption interface{ applyCut(o *cutOptions) }

type cutOptions struct {
	agents   []string
	byPrefix bool
	prefix   string
	label    string
}

type cutOption func(o *cutOptions)

func (f cutOption) applyCut(o *cutOptions) { f(o) }

// CutAgents makes the cut of these agents, each of which must have a version.
// Given more than once, they add up.
func CutAgents(names ...string) CutOption {
	return cutOption(func(o *cutOptions) { o.agents = append(o.agents, names...) })
}

// CutPrefix makes the cut of all agents that have a version and whose names
// start with the segments of prefix, as [Client.Agents] lists them; empty for
// all of the namespace.
func CutPrefix(prefix string) CutOption {
	return cutOption(func(o *cutOptions) { o.byPrefix, o.prefix = true, prefix })
}

// CutLabel says what the cut is for, in at most hawser.MaxCutLabel bytes.
func CutLabel(label string) CutOption {
	return cutOption(func(o *cutOptions) { o.label = label })
}

// RollbackOption adjusts one [Client.RollbackTo].
type RollbackOption interface{ applyRollback(o *rollbackOptions) }

type rollbackOptions struct {
	dryRun   bool
	leaveOut bool
	reason   string
	id       *hawser.RequestID
}

type rollbackOption func(o *rollbackOptions)

func (f rollbackOption) applyRollback(o *rollbackOptions) { f(o) }

// LeaveOut leaves agents that cannot be rolled back as they are, instead of
// refusing it all.
func LeaveOut() RollbackOption { return rollbackOption(func(o *rollbackOptions) { o.leaveOut = true }) }

// BecauseOf tells those who are rolled back why, in at most hawser.MaxReason
// bytes.
func BecauseOf(reason string) RollbackOption {
	return rollbackOption(func(o *rollbackOptions) { o.reason = reason })
}

// RepeatOf repeats an earlier rollback whose outcome was unknown, under the id
// in its *hawser.UnknownOutcomeError and with the same options. If it was done,
// the report is of then; it is never done twice.
func RepeatOf(id hawser.RequestID) RollbackOption {
	return rollbackOption(func(o *rollbackOptions) { o.id = &id })
}
