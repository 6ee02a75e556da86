// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fakecluster

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/delta"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// Save implements hawserv1.StateServer.
func (s *state) Save(_ context.Context, r *hawserv1.SaveRequest) (*hawserv1.SaveResponse, error) {
	if len(r.GetPayload().GetData()) > record.MaxInline {
		return nil, refuse(&hawser.Error{Code: hawser.CodeTooLarge, Msg: "send it in parts"})
	}
	content, err := wire.ContentFromProto(r.GetPayload(), r.GetPayload().GetBase() != nil)
	if err != nil {
		return nil, refuse(err)
	}
	return s.save(r, content)
}

// SaveParts implements hawserv1.StateServer.
func (s *state) SaveParts(stream grpc.ClientStreamingServer[hawserv1.SavePartsRequest, hawserv1.SaveResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	r := first.GetSave()
	content, err := wire.ContentFromProto(r.GetPayload(), r.GetPayload().GetBase() != nil)
	if err != nil || content.Data != nil || content.CRC32C != 0 {
		return refuseCode(hawser.CodeInvalid)
	}
	var end *hawserv1.PartsEnd
	for end == nil {
		m, err := stream.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return refuseCode(hawser.CodeInvalid)
			}
			return err
		}
		if end = m.GetEnd(); end == nil {
			if content.Parts > 0 && len(content.Data)%record.PartSize != 0 || len(m.GetPart()) == 0 || len(m.GetPart()) > record.PartSize {
				return refuseCode(hawser.CodeInvalid)
			}
			content.Data = append(content.Data, m.GetPart()...)
			content.Parts++
		}
	}
	if end.GetParts() != content.Parts || end.GetCrc32C() != record.Checksum(content.Data) {
		return refuseCode(hawser.CodeInvalid)
	}
	content.CRC32C = end.GetCrc32C()
	resp, err := s.save(r, content)
	if err != nil {
		return err
	}
	return stream.SendAndClose(resp)
}

// save executes a save whose content has arrived.
func (s *state) save(r *hawserv1.SaveRequest, content record.Content) (*hawserv1.SaveResponse, error) {
	c, end, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	agent, err := wire.AgentFromProto(r.GetAgent())
	if err != nil {
		return nil, refuse(err)
	}
	ch := c.chainLocked(agent)
	found, err := c.repeatLocked(ch, agent, r.GetRequest(), hawser.RequestSave, r.ExpectVersion)
	switch {
	case err != nil:
		return nil, err
	case found != nil && !slices.Equal(found.version.GetSha256(), r.GetSha256()):
		return nil, refuseCode(hawser.CodeRequestMismatch)
	case found != nil:
		return &hawserv1.SaveResponse{
			Header: s.node.headerLocked(), Version: found.version, Repeated: true, Chain: wire.ChainToProto(found.sum),
		}, nil
	case r.ExpectVersion != nil && r.GetExpectVersion() != ch.live:
		return nil, ch.conflict(agent, r.ExpectVersion)
	}
	made := number{kind: hawser.RequestSave, version: &hawserv1.Version{
		Sha256: r.GetSha256(), Instance: r.GetInstance(), Labels: r.GetLabels(), ContentType: r.GetContentType(),
		Schema: r.GetSchema(), DerivedFrom: r.GetDerivedFrom(), StoredSize: uint64(len(content.Data)),
	}}
	if err := made.store(ch, content, r.GetPayload().GetBase()); err != nil {
		return nil, refuse(err)
	}
	if hash := sha256.Sum256(made.state); !slices.Equal(hash[:], r.GetSha256()) {
		return nil, refuse(&hawser.Error{Code: hawser.CodeInvalid, Op: "save", Msg: "the content is not what it says"})
	}
	if size := r.GetStateSize(); size != uint64(len(made.state)) && (size != 0 || content.Kind == record.Delta) {
		return nil, refuse(&hawser.Error{Code: hawser.CodeInvalid, Op: "save", Msg: "the state is of another size"})
	}
	made.version.Size = uint64(len(made.state))
	c.appendLocked(agent, ch, r.GetRequest(), made)
	return &hawserv1.SaveResponse{Header: s.node.headerLocked(), Version: made.version, Chain: wire.ChainToProto(made.sum)}, nil
}

// store puts content after the head if it is a delta.
func (n *number) store(ch *chain, content record.Content, base *hawserv1.Base) (err error) {
	size := int64(len(content.Data))
	if content.Kind == record.Keyframe {
		n.path, n.sum = []record.Content{content}, record.Chain{Keyframe: size}
		n.state, err = content.Decode(hawser.MaxStateSize)
		return err
	}
	if ch.live == 0 || ch.live != base.GetNumber() {
		return &hawser.Error{Code: hawser.CodeKeyframeNeeded, Msg: "the head is another version"}
	}
	head := ch.numbers[ch.live-1]
	if !slices.Equal(head.version.GetSha256(), base.GetSha256()) || head.sum.NeedsKeyframe(size) {
		return &hawser.Error{Code: hawser.CodeKeyframeNeeded, Msg: "the base or the chain does not fit"}
	}
	n.path, n.sum = append(slices.Clip(head.path), content), head.sum.Add(size)
	if err = content.Check(hawser.MaxStateSize); err == nil {
		n.state, err = delta.Apply(head.state, content.Data, hawser.MaxStateSize)
	}
	return err
}

// appendLocked gives a version the next number and makes it the head.
func (c *Cluster) appendLocked(agent hawser.AgentID, ch *chain, id *hawserv1.RequestID, made number) {
	c.revision++
	made.nonce = hawser.Nonce(id.GetNonce())
	c.executions[made.nonce]++
	v := made.version
	v.Agent, v.Number, v.Parent = wire.AgentToProto(agent), uint64(len(ch.numbers)+1), ch.live
	v.CreatedAt, v.Revision = timestamppb.New(machineTime(c.revision)), c.revision
	v.State = hawserv1.VersionState_VERSION_STATE_LIVE
	ch.numbers = append(ch.numbers, made)
	ch.live = v.GetNumber()
	c.agents[agent] = ch
}
