// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// Save stores state as the agent's next version and returns it. It is
// conditional on the head that the handle last restored or saved; options say
// otherwise. state is not retained.
//
// Errors: *hawser.ConflictError when the head is another (the handle keeps its
// position; restore, then decide), hawser.ErrTooLarge above
// hawser.MaxStateSize, hawser.ErrFenced, hawser.ErrMessageGone for a message that
// is consumed already, hawser.ErrOverloaded when an inbox that it sends to is full,
// hawser.ErrWrongGeneration after the
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
	ctx, cancel := a.client.budget(ctx, len(state))
	defer cancel()
	out, req := newOutgoing(state), a.saveRequest(&o)
	if err := a.take(ctx, "save"); err != nil {
		return hawser.Version{}, err
	}
	defer a.give()
	return a.write(ctx, hawser.RequestSave, &o.writeOptions, func(ctx context.Context, id hawser.RequestID, repeat bool) (hawser.Version, error) {
		return a.sendSave(ctx, out, req, id, repeat)
	})
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
	if len(o.derivedFrom) > hawser.MaxDerivedFrom {
		return refuse(hawser.CodeInvalid, "derived from %d versions, the limit is %d", len(o.derivedFrom), hawser.MaxDerivedFrom)
	}
	if err := o.checkMessages(agent); err != nil {
		return err
	}
	for _, ref := range o.derivedFrom {
		if canonical, err := hawser.NewAgentID(ref.Agent.Namespace, ref.Agent.Name); err != nil || canonical != ref.Agent || ref.Number == 0 {
			return refuse(hawser.CodeInvalid, "derived from %q, which is no version", ref)
		}
	}
	if err := checkEnds(agent, o.effects); err != nil {
		return err
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

// saveRequest returns the request without its id, condition and content.
func (a *Agent) saveRequest(o *saveOptions) *hawserv1.SaveRequest {
	return &hawserv1.SaveRequest{
		Agent:       wire.AgentToProto(a.id),
		Instance:    a.client.cfg.Instance,
		Labels:      o.labels,
		ContentType: o.contentType,
		Schema:      o.schema,
		DerivedFrom: convert(o.derivedFrom, wire.RefToProto),
		Fence:       o.fence,
		Force:       o.force,
		Consume:     o.consume,
		Emit:        o.emissions(a.id.Namespace),
		Effects:     o.effects,
	}
}

// sendState sends out under id, with the repetitions that it takes.
func (a *Agent) sendState(
	ctx context.Context, out *outgoing, req *hawserv1.SaveRequest, id hawser.RequestID, repeat bool,
) (resp *hawserv1.SaveResponse, err error) {
	out.choose(a.client.cache, id)
	req.ExpectVersion, req.Sha256 = id.Expect, out.hash[:]
	cl := &call{op: "save", key: a.id.String(), id: &id, write: true, repeat: repeat, leader: true, most: len(out.state)}
	prepare := func() {
		req.Payload, req.StateSize = out.payload(), 0
		if out.delta != nil {
			req.StateSize = uint64(len(out.state))
		}
		if cl.bytes = len(req.GetPayload().GetData()); cl.bytes == 0 {
			cl.bytes = len(out.state) // packed on the way
		}
	}
	prepare()
	cl.amend = func(err error) bool {
		if !errors.Is(err, hawser.ErrKeyframeNeeded) || !out.sendWhole() {
			return false
		}
		prepare()
		return true
	}
	cl.send = func(ctx context.Context, s sending) (*hawserv1.Header, error) {
		req.Request = wire.RequestToProto(id, s.attempt)
		var err error
		if data := req.GetPayload().GetData(); len(data) > record.MaxInline || len(data) == 0 && len(out.state) > 0 {
			resp, err = sendParts(ctx, s, req, out.state)
		} else {
			resp, err = hawserv1.NewStateClient(s.conn).Save(ctx, req, s.options...)
		}
		return resp.GetHeader(), err
	}
	err = a.client.do(ctx, cl)
	return resp, err
}

// sendSave saves out under id.
func (a *Agent) sendSave(ctx context.Context, out *outgoing, req *hawserv1.SaveRequest, id hawser.RequestID, repeat bool) (hawser.Version, error) {
	resp, err := a.sendState(ctx, out, req, id, repeat)
	v := wire.VersionFromProto(resp.GetVersion())
	if err == nil {
		err = checkSaved(out, a.id, id, v)
	}
	if err != nil {
		a.remember(id, err)
		return hawser.Version{}, err
	}
	generation := hawser.Generation(resp.GetHeader().GetGeneration())
	a.adopt(v, generation)
	a.client.cache.keep(versionAt{
		agent: a.id, number: v.Number, generation: generation, sha: v.SHA256, chain: wire.ChainFromProto(resp.GetChain()),
	}, out.state)
	return v, nil
}

// checkSaved compares what a node says it saved with what was sent.
func checkSaved(out *outgoing, agent hawser.AgentID, id hawser.RequestID, v hawser.Version) error {
	if v.Agent == agent && v.Number != 0 && v.SHA256 == out.hash {
		return nil
	}
	return &hawser.UnknownOutcomeError{RequestID: id, Err: &hawser.Error{
		Code: hawser.CodeCorrupt, Op: "save", Key: agent.String(),
		Msg: fmt.Sprintf("the node answered with version %d of %q with SHA-256 %s, sent was %s", v.Number, v.Agent, v.SHA256, out.hash),
	}}
}
