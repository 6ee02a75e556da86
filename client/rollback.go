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

// Rollback makes the version with this number the head again, by appending a
// version that is equal to it; nothing is removed, and no content is sent or
// stored. It is conditional on the head that the handle last restored or
// saved; options say otherwise. The handle moves to the new version.
//
// Errors: those of [Agent.Save], and hawser.ErrNotFound, hawser.ErrVersionGone
// or hawser.ErrCorrupt of the version with this number.
func (a *Agent) Rollback(ctx context.Context, number uint64, opts ...WriteOption) (hawser.Version, error) {
	var o writeOptions
	for _, opt := range opts {
		opt.applyDelete(&o)
	}
	if a.err != nil {
		return hawser.Version{}, a.err
	}
	if err := checkNumber("rollback", a.id, number); err != nil {
		return hawser.Version{}, err
	}
	if err := o.checkID(hawser.RequestRollback, a.id); err != nil {
		return hawser.Version{}, err
	}
	ctx, cancel := a.client.budget(ctx, 0)
	defer cancel()
	if err := a.take(ctx, "rollback"); err != nil {
		return hawser.Version{}, err
	}
	defer a.give()
	return a.write(ctx, hawser.RequestRollback, &o, func(ctx context.Context, id hawser.RequestID, repeat bool) (hawser.Version, error) {
		return a.sendRollback(ctx, number, &o, id, repeat)
	})
}

func checkNumber(op string, agent hawser.AgentID, number uint64) error {
	if number != 0 {
		return nil
	}
	return &hawser.Error{Code: hawser.CodeInvalid, Op: op, Key: agent.String(), Msg: "needs the number of a version; they count from 1"}
}

func (a *Agent) sendRollback(ctx context.Context, number uint64, o *writeOptions, id hawser.RequestID, repeat bool) (hawser.Version, error) {
	req := &hawserv1.RollbackRequest{
		Agent: wire.AgentToProto(a.id), ExpectVersion: id.Expect, Version: number, Instance: a.client.cfg.Instance,
		Fence: o.fence, Force: o.force,
	}
	var resp *hawserv1.RollbackResponse
	err := a.client.do(ctx, &call{
		op: "rollback", key: a.id.String(), id: &id, write: true, repeat: repeat, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			req.Request = wire.RequestToProto(id, s.attempt)
			var err error
			resp, err = hawserv1.NewStateClient(s.conn).Rollback(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
	v := wire.VersionFromProto(resp.GetVersion())
	if err == nil {
		err = checkMade(id, v)
	}
	if err != nil {
		a.remember(id, err)
		return hawser.Version{}, err
	}
	a.adopt(v, hawser.Generation(resp.GetHeader().GetGeneration()))
	return v, nil
}

// checkMade checks that a node answered with a version of the agent that was
// to get one.
func checkMade(id hawser.RequestID, v hawser.Version) error {
	if v.Agent == id.Agent && v.Number != 0 {
		return nil
	}
	return &hawser.UnknownOutcomeError{RequestID: id, Err: &hawser.Error{
		Code: hawser.CodeCorrupt, Op: id.Kind.String(), Key: id.Agent.String(),
		Msg: fmt.Sprintf("the node answered with version %d of %q", v.Number, v.Agent),
	}}
}
