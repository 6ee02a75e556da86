// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// Delete removes the agent and every version of it. It is conditional on the
// head that the handle last restored or saved; a handle that has seen nothing
// deletes the head that it finds. A save that comes afterwards makes the agent
// anew and goes on counting.
//
// Errors: hawser.ErrNotFound when there is no agent, *hawser.ConflictError when
// the head is another, *hawser.UnknownOutcomeError as for [Agent.Save].
func (a *Agent) Delete(ctx context.Context, opts ...DeleteOption) error {
	var o writeOptions
	for _, opt := range opts {
		opt.applyDelete(&o)
	}
	if a.err != nil {
		return a.err
	}
	if err := o.checkID(hawser.RequestDelete, a.id); err != nil {
		return err
	}
	ctx, cancel := a.client.budget(ctx, 0)
	defer cancel()
	if err := a.take(ctx, "delete"); err != nil {
		return err
	}
	defer a.give()
	if o.id != nil {
		return a.sendDelete(ctx, *o.id, o.fence, true)
	}
	return a.delete(ctx, &o)
}

// delete sends a delete of the head that the condition names.
func (a *Agent) delete(ctx context.Context, o *writeOptions) error {
	if o.condition == conditionHandle {
		if err := a.settle(ctx, "delete"); err != nil {
			return err
		}
		if a.position().head == 0 {
			o.condition = conditionNone
		}
	}
	for renewals := 0; ; renewals++ {
		id, err := a.mintDelete(ctx, o)
		if err != nil {
			return err
		}
		err = a.sendDelete(ctx, id, o.fence, false)
		if err == nil || renewals == maxRenewals || errors.Is(err, hawser.ErrOutcomeUnknown) {
			return err
		}
		moved := errors.Is(err, hawser.ErrConflict) || errors.Is(err, hawser.ErrRequestExpired)
		if !moved || o.condition != conditionNone {
			return a.describeExpired(ctx, id, err)
		}
	}
}

// mintDelete returns the id of a delete of the head that the condition names;
// without a condition, of the head that it reads.
func (a *Agent) mintDelete(ctx context.Context, o *writeOptions) (hawser.RequestID, error) {
	id := hawser.RequestID{Nonce: hawser.NewNonce(), Kind: hawser.RequestDelete, Agent: a.id}
	switch o.condition {
	case conditionHandle:
		p := a.position()
		id.Seen, id.Generation = p.head, p.generation
	case conditionVersion:
		id.Seen, id.Generation = o.expect, hawser.Generation(a.client.generation.Load())
	case conditionNone:
		found, generation, err := a.client.show(ctx, a.id)
		if err != nil {
			return id, err
		}
		if found.Version == nil {
			return id, &hawser.Error{Code: hawser.CodeNotFound, Op: "delete", Key: a.id.String(), Msg: "the agent was deleted before"}
		}
		id.Seen, id.Generation = found.Version.Number, generation
	}
	return id, nil
}

// describeExpired turns the refusal of a first delete, whose head lies far
// behind, into the conflict that it is.
func (a *Agent) describeExpired(ctx context.Context, id hawser.RequestID, err error) error {
	if !errors.Is(err, hawser.ErrRequestExpired) {
		return err
	}
	found, _, showErr := a.client.show(ctx, a.id)
	if showErr != nil || found.Version == nil {
		return err
	}
	return &hawser.ConflictError{Agent: a.id, Expected: &id.Seen, Head: *found.Version}
}

func (a *Agent) sendDelete(ctx context.Context, id hawser.RequestID, fence uint64, repeat bool) error {
	req := &hawserv1.DeleteRequest{Agent: wire.AgentToProto(a.id), Fence: fence}
	var resp *hawserv1.DeleteResponse
	err := a.client.do(ctx, &call{
		op: "delete", key: a.id.String(), id: &id, write: true, repeat: repeat, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			req.Request = wire.RequestToProto(id, s.attempt)
			var err error
			resp, err = hawserv1.NewStateClient(s.conn).Delete(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
	if err != nil {
		a.remember(id, err)
		return err
	}
	generation := hawser.Generation(resp.GetHeader().GetGeneration())
	if p := a.position(); generation != p.generation || resp.GetNumber() > p.seen {
		a.setPosition(position{seen: resp.GetNumber(), generation: generation})
	}
	return nil
}
