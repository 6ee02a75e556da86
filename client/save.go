// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// maxRenewals bounds how often one write gets a new request id.
const maxRenewals = 3

// Save stores state as the agent's next version and returns it. It is
// conditional on the head that the handle last restored or saved; options say
// otherwise. state is not retained.
//
// Errors: *hawser.ConflictError when the head is another (the handle keeps its
// position; restore, then decide), hawser.ErrTooLarge above
// hawser.MaxStateSize, hawser.ErrFenced, hawser.ErrWrongGeneration after the
// cluster was restored from an archive, *hawser.UnknownOutcomeError when it
// may or may not have been executed. The latter also matches the error of the
// context. See the package comment for what the next Save then does.
func (a *Agent) Save(ctx context.Context, state []byte, opts ...SaveOption) (hawser.Version, error) {
	var o saveOptions
	for _, opt := range opts {
		opt.applySave(&o)
	}
	if a.err != nil {
		return hawser.Version{}, a.err
	}
	if err := o.check(a.id, len(state)); err != nil {
		return hawser.Version{}, err
	}
	ctx, cancel := a.client.budget(ctx)
	defer cancel()
	req := a.saveRequest(state, &o)
	if err := a.take(ctx, "save"); err != nil {
		return hawser.Version{}, err
	}
	defer a.give()
	if o.id != nil {
		return a.sendSave(ctx, req, *o.id, true)
	}
	return a.save(ctx, req, &o.writeOptions)
}

// check refuses what no node would take, without a round trip.
func (o *saveOptions) check(agent hawser.AgentID, size int) error {
	refuse := func(code hawser.Code, format string, args ...any) error {
		return &hawser.Error{Code: code, Op: "save", Key: agent.String(), Msg: fmt.Sprintf(format, args...)}
	}
	if size > hawser.MaxStateSize {
		return refuse(hawser.CodeTooLarge, "the state has %d bytes, the limit is %d", size, hawser.MaxStateSize)
	}
	if len(o.labels) > hawser.MaxLabels {
		return refuse(hawser.CodeInvalid, "%d labels, the limit is %d", len(o.labels), hawser.MaxLabels)
	}
	for key, value := range o.labels {
		if key == "" || len(key) > hawser.MaxLabelKey || len(value) > hawser.MaxLabelValue {
			return refuse(hawser.CodeInvalid, "label %.40q needs a key of 1 to %d bytes and a value of at most %d",
				key, hawser.MaxLabelKey, hawser.MaxLabelValue)
		}
	}
	if len(o.contentType) > hawser.MaxContentType || len(o.schema) > hawser.MaxSchema {
		return refuse(hawser.CodeInvalid, "the content type is limited to %d bytes, the schema to %d",
			hawser.MaxContentType, hawser.MaxSchema)
	}
	return o.checkID(hawser.RequestSave, agent)
}

// checkID refuses a request id that was made for something else.
func (o *writeOptions) checkID(kind hawser.RequestKind, agent hawser.AgentID) error {
	if o.id == nil || o.id.Kind == kind && o.id.Agent == agent {
		return nil
	}
	return &hawser.Error{
		Code: hawser.CodeInvalid, Op: kind.String(), Key: agent.String(),
		Msg: fmt.Sprintf("the request id is of a %s of %q", o.id.Kind, o.id.Agent),
	}
}

// saveRequest returns the request without its id and condition.
func (a *Agent) saveRequest(state []byte, o *saveOptions) *hawserv1.SaveRequest {
	content := record.EncodeKeyframe(state)
	hash := sha256.Sum256(state)
	return &hawserv1.SaveRequest{
		Agent:       wire.AgentToProto(a.id),
		Payload:     payloadOf(content),
		Sha256:      hash[:],
		Instance:    a.client.cfg.Instance,
		Labels:      o.labels,
		ContentType: o.contentType,
		Schema:      o.schema,
	}
}

// save sends a request under ids of its own until one is answered for good.
func (a *Agent) save(ctx context.Context, req *hawserv1.SaveRequest, o *writeOptions) (hawser.Version, error) {
	if o.condition == conditionHandle {
		if err := a.settle(ctx, "save"); err != nil {
			return hawser.Version{}, err
		}
	}
	for renewals := 0; ; renewals++ {
		v, err := a.sendSave(ctx, req, a.mint(hawser.RequestSave, o), false)
		if err == nil || renewals == maxRenewals {
			return v, err
		}
		again, renewErr := a.renew(ctx, o, err)
		if renewErr != nil {
			return hawser.Version{}, renewErr
		}
		if !again {
			return hawser.Version{}, err
		}
	}
}

// renew reports whether a write that was not executed, for the reason in err,
// is sent again under a new id.
func (a *Agent) renew(ctx context.Context, o *writeOptions, err error) (bool, error) {
	if errors.Is(err, hawser.ErrOutcomeUnknown) {
		return false, nil
	}
	if conflict, ok := errors.AsType[*hawser.ConflictError](err); ok && o.condition == conditionHandle && a.position().open != nil {
		// Our own unknown write may have arrived in the meantime.
		if settleErr := a.settle(ctx, "save"); settleErr != nil {
			return false, err // the conflict stands, whatever it was made by
		}
		return a.position().head == conflict.Head.Number, nil
	}
	if errors.Is(err, hawser.ErrRequestExpired) {
		// The agent moved on by more than the window since the handle saw it.
		// A new id with the newest number is safe: the old one was not executed,
		// and the condition stays what it is.
		return true, a.look(ctx)
	}
	if errors.Is(err, hawser.ErrWrongGeneration) && a.isTimeless(o) {
		// Only the client's idea of the generation was old; any answer renews it.
		_, statusErr := a.client.status(ctx)
		return true, statusErr
	}
	return false, nil
}

// isTimeless reports whether a write rests on no number of a former life of
// the cluster.
func (a *Agent) isTimeless(o *writeOptions) bool {
	switch o.condition {
	case conditionHandle:
		return a.position().generation == 0
	case conditionVersion:
		return o.expect == 0
	case conditionNone:
	}
	return true
}

// look reads the newest number of the agent's chain. The handle's head stays.
func (a *Agent) look(ctx context.Context) error {
	found, generation, err := a.client.show(ctx, a.id)
	if err != nil && !errors.Is(err, hawser.ErrNotFound) {
		return err
	}
	p := a.position()
	if p.generation != 0 && generation != p.generation {
		return nil // the next id is refused or refreshed by its generation
	}
	p.seen, p.generation = max(p.seen, found.Head), generation
	a.setPosition(p)
	return nil
}

// sendSave sends req under id, with the repetitions that it takes.
func (a *Agent) sendSave(ctx context.Context, req *hawserv1.SaveRequest, id hawser.RequestID, repeat bool) (hawser.Version, error) {
	req.ExpectVersion = id.Expect
	var resp *hawserv1.SaveResponse
	err := a.client.do(ctx, &call{
		op: "save", key: a.id.String(), id: &id, write: true, repeat: repeat, leader: true,
		bytes: len(req.GetPayload().GetData()),
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			req.Request = wire.RequestToProto(id, s.attempt)
			var err error
			resp, err = hawserv1.NewStateClient(s.conn).Save(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
	if err != nil {
		a.remember(id, err)
		return hawser.Version{}, err
	}
	v := wire.VersionFromProto(resp.GetVersion())
	if err := checkSaved(req, a.id, v); err != nil {
		err = &hawser.UnknownOutcomeError{RequestID: id, Err: err}
		a.remember(id, err)
		return hawser.Version{}, err
	}
	a.adopt(v, hawser.Generation(resp.GetHeader().GetGeneration()))
	return v, nil
}

// remember keeps the id of a write whose outcome is unknown.
func (a *Agent) remember(id hawser.RequestID, err error) {
	if !errors.Is(err, hawser.ErrOutcomeUnknown) {
		return
	}
	p := a.position()
	p.open = &id
	a.setPosition(p)
}

// checkSaved compares what a node says it saved with what was sent.
func checkSaved(req *hawserv1.SaveRequest, agent hawser.AgentID, v hawser.Version) error {
	if v.Agent == agent && v.Number != 0 && v.SHA256 == hawser.Hash(req.GetSha256()) {
		return nil
	}
	return &hawser.Error{
		Code: hawser.CodeCorrupt, Op: "save", Key: agent.String(),
		Msg: fmt.Sprintf("the node answered with version %d of %q with SHA-256 %s, sent was %x",
			v.Number, v.Agent, v.SHA256, req.GetSha256()),
	}
}
