// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// Pin protects the version with this number from retention, until [Agent.Unpin]
// or the agent's end. Pinning a pinned version changes nothing.
//
// Errors: hawser.ErrNotFound, hawser.ErrVersionGone, hawser.ErrRefused beyond
// hawser.MaxPins, hawser.ErrOutcomeUnknown when it may or may not be pinned now;
// pin it again then. The last call wins, and a call is repeated when its answer
// is lost: what another client did meanwhile is undone then.
func (a *Agent) Pin(ctx context.Context, number uint64) (hawser.Version, error) {
	return a.pin(ctx, "pin", number, true)
}

// Unpin ends the protection of [Agent.Pin]; the errors are the same. Of a
// version that is not pinned it changes nothing.
func (a *Agent) Unpin(ctx context.Context, number uint64) (hawser.Version, error) {
	return a.pin(ctx, "unpin", number, false)
}

func (a *Agent) pin(ctx context.Context, op string, number uint64, pinned bool) (hawser.Version, error) {
	if a.err != nil {
		return hawser.Version{}, a.err
	}
	if err := checkNumber(op, a.id, number); err != nil {
		return hawser.Version{}, err
	}
	req := &hawserv1.PinRequest{Agent: wire.AgentToProto(a.id), Version: number, Pinned: pinned}
	var resp *hawserv1.PinResponse
	err := a.client.do(ctx, &call{
		op: op, key: hawser.VersionRef{Agent: a.id, Number: number}.String(), write: true, harmless: true, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			var err error
			resp, err = hawserv1.NewStateClient(s.conn).Pin(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
	return wire.VersionFromProto(resp.GetVersion()), err
}
