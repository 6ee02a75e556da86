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
	"github.com/hawserdb/hawser/internal/wire"
)

// Checkpoint is a restored version.
type Checkpoint struct {
	// State is the content, the caller's own. Its SHA-256 was checked.
	State   []byte
	Version hawser.Version
	// Revision is the one that the answer reflects.
	Revision hawser.Revision
	// Messages are the oldest of those that the agent's inbox had at that moment,
	// at most 100 and 256 KiB of them but one if there is any; none with
	// [AtVersion] or [WithoutMessages]. MoreMessages says that there were others
	// after them, which [Agent.Inbox] delivers.
	Messages     []hawser.Message
	MoreMessages bool
	// Effects are those of the agent that are open, so that nobody knows whether
	// they have run, and those that ended, with their results, and that the
	// version does not reflect: they ended later, or were rolled back.
	Effects []hawser.Effect
}

// Restore returns the agent's head, or the version named by [AtVersion], after
// checking its content against its SHA-256. Restoring the head sets the
// position on which the handle's next save is conditional, also to none when
// there is no agent; restoring an older version does not move it.
//
// Errors: hawser.ErrNotFound, hawser.ErrVersionGone, hawser.ErrCorrupt.
func (a *Agent) Restore(ctx context.Context, opts ...RestoreOption) (Checkpoint, error) {
	var o readOptions
	for _, opt := range opts {
		opt.applyRestore(&o)
	}
	if a.err != nil {
		return Checkpoint{}, a.err
	}
	within, cancel := a.client.budget(ctx, int(a.position().size))
	defer cancel()
	if o.version != 0 {
		cp, _, err := a.restore(ctx, within, o)
		return cp, err
	}
	if err := a.take(within, "restore"); err != nil {
		return Checkpoint{}, err
	}
	defer a.give()
	cp, generation, err := a.restore(ctx, within, o)
	switch {
	case err == nil:
		a.setPosition(positionAt(cp.Version, generation))
	case errors.Is(err, hawser.ErrNotFound) && !o.stale:
		p := a.position()
		p.head, p.open = 0, nil
		a.setPosition(p)
	}
	return cp, err
}

// restore fetches a version: only what follows the one that the client holds,
// where it can, else all of it. within bounds it until an answer begins.
func (a *Agent) restore(ctx, within context.Context, o readOptions) (Checkpoint, hawser.Generation, error) {
	base := a.client.cache.hold(a.id)
	defer a.client.cache.release(base)
	if base != nil && o.version != 0 && o.version < base.number {
		base = nil
	}
	cp, at, err := a.fetch(ctx, within, o, base)
	if base != nil && errors.Is(err, hawser.ErrCorrupt) {
		a.client.cache.drop(base) // whoever is wrong, the whole state does without
		cp, at, err = a.fetch(ctx, within, o, nil)
	}
	return cp, at.generation, err
}

// fetch asks for a version, makes it from what arrives, and from base, which
// may be nil, and keeps a copy.
func (a *Agent) fetch(ctx, within context.Context, o readOptions, base *held) (Checkpoint, versionAt, error) {
	req := &hawserv1.RestoreRequest{Agent: wire.AgentToProto(a.id), Version: o.version, Read: o.proto(), Messages: o.version == 0 && !o.noMessages, Effects: true}
	if base != nil {
		req.Base = wire.BaseToProto(base.number, base.sha)
	}
	var in *incoming
	err := a.client.run(ctx, within, &call{
		op: "restore", key: a.id.String(), leader: !o.stale, bytes: int(a.position().size), streams: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			stream, err := hawserv1.NewStateClient(s.conn).Restore(ctx, req, s.options...)
			if err != nil {
				return nil, err
			}
			in = new(incoming)
			err = in.receive(stream, s.begun)
			return in.header, err
		},
	})
	if err == nil {
		err = in.damage
	}
	if err != nil {
		return Checkpoint{}, versionAt{}, err
	}
	state, err := a.verify(in, o.version, base)
	if err != nil {
		return Checkpoint{}, versionAt{}, err
	}
	v := in.version
	at := versionAt{
		agent: a.id, number: v.Number, generation: hawser.Generation(in.header.GetGeneration()), sha: v.SHA256, chain: in.stored,
	}
	a.client.cache.keep(at, state)
	return Checkpoint{
		State: state, Version: v, Revision: hawser.Revision(in.header.GetRevision()), Messages: in.messages, MoreMessages: in.moreMessages,
		Effects: in.effects,
	}, at, nil
}

// verify makes the state of what arrived and checks that it is the version that
// was asked for, byte for byte. The result is the caller's own.
func (a *Agent) verify(in *incoming, wanted uint64, base *held) ([]byte, error) {
	v := in.version
	corrupt := func(msg string, err error) error {
		return &hawser.Error{Code: hawser.CodeCorrupt, Op: "restore", Key: fmt.Sprintf("%s@%d", a.id, v.Number), Msg: msg, Err: err}
	}
	if v.Agent != a.id || v.Number == 0 || wanted != 0 && v.Number != wanted {
		return nil, corrupt(fmt.Sprintf("the node answered with version %d of %q", v.Number, v.Agent), nil)
	}
	state, err := in.state(base)
	if err != nil {
		return nil, corrupt("the content that the node sent cannot be unpacked", err)
	}
	if got := hawser.Hash(sha256.Sum256(state)); got != v.SHA256 {
		return nil, corrupt(fmt.Sprintf("the content that the node sent has SHA-256 %s, expected %s", got, v.SHA256), nil)
	}
	return state, nil
}

func (o readOptions) proto() *hawserv1.ReadOptions {
	if !o.stale {
		return &hawserv1.ReadOptions{}
	}
	return &hawserv1.ReadOptions{
		Consistency: hawserv1.Consistency_CONSISTENCY_STALE, MinRevision: uint64(o.minRevision),
	}
}
