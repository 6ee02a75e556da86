// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/json"

	"github.com/hawserdb/hawser"
)

// jsonContentType is recorded with versions saved by [SaveJSON].
const jsonContentType = "application/json"

// SaveJSON saves the JSON form of value, as [Agent.Save] does, with the content
// type application/json unless an option names another. A value that has no
// JSON form is hawser.ErrInvalid.
func SaveJSON[T any](ctx context.Context, a *Agent, value T, opts ...SaveOption) (hawser.Version, error) {
	state, err := json.Marshal(value)
	if err != nil {
		return hawser.Version{}, &hawser.Error{Code: hawser.CodeInvalid, Op: "save", Key: a.id.String(), Msg: "the value has no JSON form", Err: err}
	}
	return a.Save(ctx, state, append([]SaveOption{ContentType(jsonContentType)}, opts...)...)
}

// RestoreJSON restores a state, as [Agent.Restore] does, and reads it as JSON.
// A state that is not JSON of this type is hawser.ErrInvalid; the handle's
// position moves nevertheless.
func RestoreJSON[T any](ctx context.Context, a *Agent, opts ...RestoreOption) (T, error) {
	var value T
	cp, err := a.Restore(ctx, opts...)
	if err != nil {
		return value, err
	}
	if err := json.Unmarshal(cp.State, &value); err != nil {
		var none T
		return none, &hawser.Error{
			Code: hawser.CodeInvalid, Op: "restore", Key: a.id.String(),
			Msg: "the state is not JSON of the wanted type; Restore returns it as it is", Err: err,
		}
	}
	return value, nil
}
