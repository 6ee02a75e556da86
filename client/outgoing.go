// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"crypto/sha256"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// packWhole is the longest state that is packed before it is sent. A longer one
// is packed as it is sent, in each attempt anew, so that it is never held twice.
const packWhole = 4 << 20

// outgoing is a state that is saved. It is hashed once and encoded once,
// however often it is sent; only the delta is made anew when the base is
// another.
type outgoing struct {
	state []byte
	hash  hawser.Hash
	// whole: a node asked for the whole state.
	whole bool
	// keyframe is the packed state, nil before it is needed, and for states
	// that are packed as they are sent.
	keyframe *record.Content
	// delta is the difference to base, nil if it is not worth it.
	delta *record.Content
	base  versionAt
}

func newOutgoing(state []byte) *outgoing {
	return &outgoing{state: state, hash: sha256.Sum256(state)}
}

// choose decides in which form a request with this id sends the state: as the
// difference to the version that the request is conditional on, if the client
// holds that and the chain rule allows it, else whole.
func (o *outgoing) choose(c *cache, id hawser.RequestID) {
	base := c.hold(id.Agent)
	defer c.release(base)
	if o.whole || base == nil || base.generation != id.Generation || id.Expect != nil && *id.Expect != base.number {
		o.delta = nil
		return
	}
	if o.base == base.versionAt {
		return
	}
	o.base, o.delta = base.versionAt, nil
	if base.chain.NeedsKeyframe(0) {
		return
	}
	delta, ok := record.EncodeDelta(base.state, o.state)
	if ok && len(delta.Data) <= record.MaxDelta && !base.chain.NeedsKeyframe(int64(len(delta.Data))) {
		o.delta = &delta
	}
}

// sendWhole makes the next attempts send the whole state. It reports false if
// the last one did.
func (o *outgoing) sendWhole() bool {
	changed := o.delta != nil
	o.whole, o.delta = true, nil
	return changed
}

// payload returns what an attempt sends. Without data the state is packed as it
// is sent, unless it is empty.
func (o *outgoing) payload() *hawserv1.Payload {
	switch {
	case o.delta != nil:
		p := wire.ContentToProto(*o.delta)
		p.Base = wire.BaseToProto(o.base.number, o.base.sha)
		return p
	case len(o.state) > packWhole:
		return &hawserv1.Payload{Encoding: hawserv1.Encoding(record.PackEncoding(o.state)), Size: uint64(len(o.state))}
	case o.keyframe == nil:
		keyframe := record.EncodeKeyframe(o.state)
		o.keyframe = &keyframe
	}
	return wire.ContentToProto(*o.keyframe)
}
