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

// Checkpoint is a restored version.
type Checkpoint struct {
	// State is the content, the caller's own. Its SHA-256 was checked.
	State   []byte
	Version hawser.Version
	// Revision is the one that the answer reflects.
	Revision hawser.Revision
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
	ctx, cancel := a.client.budget(ctx)
	defer cancel()
	if o.version != 0 {
		cp, _, err := a.restore(ctx, o)
		return cp, err
	}
	if err := a.take(ctx, "restore"); err != nil {
		return Checkpoint{}, err
	}
	defer a.give()
	cp, generation, err := a.restore(ctx, o)
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

func (a *Agent) restore(ctx context.Context, o readOptions) (Checkpoint, hawser.Generation, error) {
	req := &hawserv1.RestoreRequest{Agent: wire.AgentToProto(a.id), Version: o.version, Read: o.proto()}
	var resp *hawserv1.RestoreResponse
	err := a.client.do(ctx, &call{
		op: "restore", key: a.id.String(), leader: !o.stale, bytes: int(a.position().size),
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			stream, err := hawserv1.NewStateClient(s.conn).Restore(ctx, req, s.options...)
			if err == nil {
				resp, err = stream.Recv()
			}
			return resp.GetHeader(), err
		},
	})
	if err != nil {
		return Checkpoint{}, 0, err
	}
	v := wire.VersionFromProto(resp.GetVersion())
	state, err := a.verify(v, o.version, resp.GetKeyframe())
	if err != nil {
		return Checkpoint{}, 0, err
	}
	cp := Checkpoint{State: state, Version: v, Revision: hawser.Revision(resp.GetHeader().GetRevision())}
	return cp, hawser.Generation(resp.GetHeader().GetGeneration()), nil
}

// verify unpacks a payload and checks that it is the version that was asked
// for, byte for byte.
func (a *Agent) verify(v hawser.Version, wanted uint64, payload *hawserv1.Payload) ([]byte, error) {
	corrupt := func(msg string, err error) error {
		return &hawser.Error{Code: hawser.CodeCorrupt, Op: "restore", Key: fmt.Sprintf("%s@%d", a.id, v.Number), Msg: msg, Err: err}
	}
	if v.Agent != a.id || v.Number == 0 || wanted != 0 && v.Number != wanted {
		return nil, corrupt(fmt.Sprintf("the node answered with version %d of %q", v.Number, v.Agent), nil)
	}
	state, err := contentOf(payload).Decode(hawser.MaxStateSize)
	if err != nil {
		return nil, corrupt("the content that the node sent cannot be unpacked", err)
	}
	if got := hawser.Hash(sha256.Sum256(state)); got != v.SHA256 {
		return nil, corrupt(fmt.Sprintf("the content that the node sent has SHA-256 %s, expected %s", got, v.SHA256), nil)
	}
	return state, nil
}

func payloadOf(c record.Content) *hawserv1.Payload {
	return &hawserv1.Payload{Encoding: hawserv1.Encoding(c.Encoding), Data: c.Data, Crc32C: c.CRC32C, Size: c.Size}
}

func contentOf(p *hawserv1.Payload) record.Content {
	return record.Content{
		Kind: record.Keyframe, Encoding: record.Encoding(p.GetEncoding()),
		Size: p.GetSize(), CRC32C: p.GetCrc32C(), Data: p.GetData(),
	}
}

func (o readOptions) proto() *hawserv1.ReadOptions {
	if !o.stale {
		return &hawserv1.ReadOptions{}
	}
	return &hawserv1.ReadOptions{
		Consistency: hawserv1.Consistency_CONSISTENCY_STALE, MinRevision: uint64(o.minRevision),
	}
}
