// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// Saver is what can be saved together with others: an [Agent], or the [Claim] of
// one, under which it then is.
type Saver interface {
	saver() (a *Agent, fence uint64, err error)
}

func (a *Agent) saver() (*Agent, uint64, error) { return a, 0, a.err }

func (c *Claim) saver() (*Agent, uint64, error) { return c.agent, c.grant.GetToken(), c.check() }

// Saving is one save of a [Client.SaveAll]. Make it with [SaveOf].
type Saving struct {
	target Saver
	state  []byte
	opts   []SaveOption
}

// SaveOf says what is to be saved. The state must not change before SaveAll has
// returned.
func SaveOf(target Saver, state []byte, opts ...SaveOption) Saving {
	return Saving{target: target, state: state, opts: opts}
}

// SaveAll saves 1 to 64 agents at one revision, or none of them: nobody sees one
// without the others. It returns their versions in the order of saves. Each has
// its own condition, fence, labels and request id, as in [Agent.Save]; all
// handles move.
//
// Errors are those of [Agent.Save], and name the agent. hawser.ErrTooLarge is for
// states that have more than hawser.MaxSavesSize bytes together as they are sent,
// packed or as differences to the heads that the client holds: use a transaction
// then. *UnknownSavesError is for an unknown outcome.
//
// It is for agents that one process saves. If each has an owner somewhere else,
// [Client.Transact] asks the owners.
func (c *Client) SaveAll(ctx context.Context, saves ...Saving) ([]hawser.Version, error) {
	j, err := c.joint(saves)
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.budget(ctx, j.size)
	defer cancel()
	if err := j.take(ctx); err != nil {
		return nil, err
	}
	defer j.give()
	return j.write(ctx)
}

// UnknownSavesError is a [Client.SaveAll] that may have been executed, as a
// whole. It matches hawser.ErrOutcomeUnknown.
type UnknownSavesError struct {
	// IDs are the request ids in the order of the saves. What became of one of
	// them became of all: [Client.Outcome]. To repeat it, give each save its id
	// with [WithRequestID].
	IDs []hawser.RequestID
	// Err is the *hawser.UnknownOutcomeError of one of them.
	Err error
}

// Error implements error.
func (e *UnknownSavesError) Error() string {
	return fmt.Sprintf("save of %d agents together: %v", len(e.IDs), e.Err)
}

// Unwrap returns Err.
func (e *UnknownSavesError) Unwrap() error { return e.Err }

// jointSave is one SaveAll.
type jointSave struct {
	client *Client
	parts  []*jointPart
	// repeat: the ids are of the options.
	repeat bool
	// size is that of all states.
	size int
	// refused is why the states cannot be sent whole.
	refused error
}

type jointPart struct {
	agent *Agent
	o     saveOptions
	out   *outgoing
	req   *hawserv1.SaveRequest
	id    hawser.RequestID
}

func (c *Client) joint(saves []Saving) (*jointSave, error) {
	refuse := func(format string, args ...any) (*jointSave, error) {
		return nil, &hawser.Error{Code: hawser.CodeInvalid, Op: "save all", Msg: fmt.Sprintf(format, args...)}
	}
	if n := len(saves); n == 0 || n > hawser.MaxSaves {
		return refuse("%d agents, 1 to %d are possible", n, hawser.MaxSaves)
	}
	j, agents, named := &jointSave{client: c}, map[hawser.AgentID]bool{}, 0
	for _, s := range saves {
		if s.target == nil {
			return refuse("a save of nothing; make it with SaveOf")
		}
		a, fence, err := s.target.saver()
		if err != nil {
			return nil, err
		}
		p := &jointPart{agent: a}
		for _, opt := range s.opts {
			opt.applySave(&p.o)
		}
		if fence != 0 {
			p.o.fence = fence
		}
		if err := p.o.check(a.id, len(s.state)); err != nil {
			return nil, err
		}
		switch {
		case a.client != c:
			return refuse("the handle of agent %q is of another client", a.id)
		case agents[a.id]:
			return refuse("agent %q is saved twice", a.id)
		}
		if p.o.id != nil {
			named++
		}
		p.out, p.req = newOutgoing(s.state), a.saveRequest(&p.o)
		agents[a.id], j.size = true, j.size+len(s.state)
		j.parts = append(j.parts, p)
	}
	if j.repeat = named > 0; named > 0 && named < len(j.parts) {
		return refuse("%d of %d saves have a request id; all are repeated or none", named, len(j.parts))
	}
	return j, nil
}

// take waits for the turns of all handles, in one order for everybody, so that
// two calls do not wait for each other.
func (j *jointSave) take(ctx context.Context) error {
	ordered := slices.SortedFunc(slices.Values(j.parts), func(a, b *jointPart) int {
		return cmp.Or(cmp.Compare(a.agent.id.Namespace, b.agent.id.Namespace), cmp.Compare(a.agent.id.Name, b.agent.id.Name))
	})
	for i, p := range ordered {
		if err := p.agent.take(ctx, "save all"); err != nil {
			for _, taken := range ordered[:i] {
				taken.agent.give()
			}
			return err
		}
	}
	return nil
}

func (j *jointSave) give() {
	for _, p := range j.parts {
		p.agent.give()
	}
}

// write sends the saves under the ids of the options, or under ids of their own
// until one set of them is answered for good. It has the turns.
func (j *jointSave) write(ctx context.Context) ([]hawser.Version, error) {
	for _, p := range j.parts {
		if p.o.id == nil && p.o.condition == conditionHandle {
			if err := p.agent.settle(ctx, "save all"); err != nil {
				return nil, err
			}
		}
	}
	for renewals := 0; ; renewals++ {
		versions, err := j.send(ctx)
		if err == nil || j.repeat || renewals == maxRenewals*len(j.parts) { // each is of one part
			return versions, err
		}
		p := j.blamed(err)
		if p == nil {
			return nil, err
		}
		again, renewErr := p.agent.renew(ctx, hawser.RequestSave, &p.o.writeOptions, err)
		if renewErr != nil {
			return nil, renewErr
		}
		if !again {
			return nil, err
		}
	}
}

// blamed returns the part that an error is about, nil for none.
func (j *jointSave) blamed(err error) *jointPart {
	var agent string
	if e, ok := errors.AsType[*hawser.ConflictError](err); ok {
		agent = e.Agent.String()
	} else if e, ok := errors.AsType[*hawser.Error](err); ok {
		agent = e.Key
	}
	i := slices.IndexFunc(j.parts, func(p *jointPart) bool { return p.agent.id.String() == agent })
	if i < 0 {
		return nil
	}
	return j.parts[i]
}

// prepare chooses in which form each state is sent, or says that they are too
// large together.
func (j *jointSave) prepare(req *hawserv1.SaveAllRequest) (size int, err error) {
	req.Saves = nil
	for _, p := range j.parts {
		p.out.choose(j.client.cache, p.id)
		p.req.ExpectVersion, p.req.Sha256 = p.id.Expect, p.out.hash[:]
		p.req.Payload, p.req.StateSize = p.out.payload(), 0
		if p.out.delta != nil {
			p.req.StateSize = uint64(len(p.out.state))
		}
		bytes := len(p.req.GetPayload().GetData())
		if bytes == 0 {
			bytes = len(p.out.state) // it would be packed on the way
		}
		size += bytes
		req.Saves = append(req.Saves, p.req)
	}
	if size > hawser.MaxSavesSize {
		return size, &hawser.Error{
			Code: hawser.CodeTooLarge, Op: "save all",
			Msg: fmt.Sprintf("the states have %d bytes as they are sent, %d are possible; use a transaction", size, hawser.MaxSavesSize),
		}
	}
	return size, nil
}

// send sends the saves, with the repetitions that it takes.
func (j *jointSave) send(ctx context.Context) ([]hawser.Version, error) {
	for _, p := range j.parts {
		if p.id = p.agent.mint(hawser.RequestSave, &p.o.writeOptions); p.o.id != nil {
			p.id = *p.o.id
		}
	}
	req, first := &hawserv1.SaveAllRequest{}, j.parts[0].id
	size, err := j.prepare(req)
	if err != nil {
		return nil, err
	}
	var resp *hawserv1.SaveAllResponse
	cl := &call{op: "save all", key: first.Agent.String(), id: &first, write: true, repeat: j.repeat, leader: true, bytes: size, most: j.size}
	cl.amend = func(err error) bool {
		p := j.blamed(err)
		if !errors.Is(err, hawser.ErrKeyframeNeeded) || p == nil || !p.out.sendWhole() {
			return false
		}
		cl.bytes, j.refused = j.prepare(req)
		return j.refused == nil
	}
	cl.send = func(ctx context.Context, s sending) (*hawserv1.Header, error) {
		for _, p := range j.parts {
			p.req.Request = wire.RequestToProto(p.id, s.attempt)
		}
		var err error
		resp, err = hawserv1.NewStateClient(s.conn).SaveAll(ctx, req, s.options...)
		return resp.GetHeader(), err
	}
	err = j.client.do(ctx, cl)
	if j.refused != nil && errors.Is(err, hawser.ErrKeyframeNeeded) {
		err = j.refused
	}
	if err == nil {
		return j.adopt(resp)
	}
	return nil, j.failed(err)
}

// failed keeps the ids of saves whose outcome is unknown.
func (j *jointSave) failed(err error) error {
	if !errors.Is(err, hawser.ErrOutcomeUnknown) {
		return err
	}
	unknown := &UnknownSavesError{Err: err}
	for _, p := range j.parts {
		unknown.IDs = append(unknown.IDs, p.id)
		p.agent.remember(p.id, err)
	}
	return unknown
}

// adopt moves the handles to what was saved.
func (j *jointSave) adopt(resp *hawserv1.SaveAllResponse) ([]hawser.Version, error) {
	versions := make([]hawser.Version, len(j.parts))
	for i, p := range j.parts {
		if i < len(resp.GetSaves()) {
			versions[i] = wire.VersionFromProto(resp.GetSaves()[i].GetVersion())
		}
		if err := checkSaved(p.out, p.agent.id, p.id, versions[i]); err != nil {
			return nil, j.failed(err)
		}
	}
	generation := hawser.Generation(resp.GetHeader().GetGeneration())
	for i, p := range j.parts {
		v := versions[i]
		p.agent.adopt(v, generation)
		j.client.cache.keep(versionAt{
			agent: p.agent.id, number: v.Number, generation: generation, sha: v.SHA256, chain: wire.ChainFromProto(resp.GetSaves()[i].GetChain()),
		}, p.out.state)
	}
	return versions, nil
}
