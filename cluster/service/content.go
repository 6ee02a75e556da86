// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/delta"
	"github.com/hawserdb/hawser/internal/record"
)

const (
	// bigState is the size from which it matters how many states are unpacked
	// at the same time: 128 KiB of a hostile keyframe make 256 MiB.
	bigState = 1 << 20
	// maxUnpacking is how many big states are, each in 8 MiB at most.
	maxUnpacking = 8
)

// takeInline moves the data of an inline payload to command, having verified
// them unless another node has.
func (s *Service) takeInline(ctx context.Context, b *Backend, command *fsm.Save, p *hawserv1.Payload) error {
	if p.GetParts() != 0 {
		return invalidSave(command.Agent, "the payload has parts; stream it")
	}
	if len(p.GetData()) > record.MaxInline {
		return invalidSave(command.Agent, "the payload has %d bytes, and more than %d are streamed", len(p.GetData()), record.MaxInline)
	}
	command.Content.CRC32C, command.Content.Data = p.GetCrc32C(), p.GetData()
	if isForwarded(ctx) {
		return nil
	}
	if command.Size > bigState {
		select {
		case s.unpacking <- struct{}{}:
			defer func() { <-s.unpacking }()
		case <-ctx.Done():
			return &hawser.Error{Code: hawser.CodeDeadline, Op: "save", Key: command.Agent.String(), Msg: "too many large states are being verified", Err: ctx.Err()}
		}
	}
	if command.Base != nil {
		return b.checkDelta(command)
	}
	return verifyKeyframe(command)
}

// verifyKeyframe unpacks and hashes an inline keyframe.
func verifyKeyframe(command *fsm.Save) error {
	content := command.Content
	if command.Size <= bigState {
		return mismatched(command, record.Verify(content, command.SHA256, hawser.MaxStateSize))
	}
	v, err := record.NewVerifier(content, hawser.MaxStateSize)
	if err != nil {
		return mismatched(command, err)
	}
	_, _ = v.Write(content.Data) // Finish says so too
	return mismatched(command, v.Finish(content.CRC32C, command.SHA256))
}

// checkDelta checks a delta, whose data are in command, as far as that goes
// without its base: that it is what its size and checksum say, and makes a
// state of the declared size from a base of the right size.
func (b *Backend) checkDelta(command *fsm.Save) error {
	err := command.Content.Check(record.MaxDelta)
	if err != nil {
		return mismatched(command, err)
	}
	base, err := b.baseSize(command)
	if err != nil {
		return mismatched(command, err)
	}
	size, err := delta.Check(command.Content.Data, base, hawser.MaxStateSize)
	if err == nil && uint64(size) != command.Size {
		err = &hawser.Error{Code: hawser.CodeCorrupt, Op: "delta", Msg: "makes a state of another size"}
	}
	return mismatched(command, err)
}

// baseSize returns the size of the version that the delta in command starts
// from: as this node knows it, else as the delta has it. Whether the head is
// that version is for the machine to decide.
func (b *Backend) baseSize(command *fsm.Save) (int64, error) {
	view, err := b.Machine.View()
	if err != nil {
		return 0, err
	}
	defer closeView(view)
	base, err := view.Version(command.Agent, command.Base.Number)
	if err == nil && base.SHA256 == command.Base.SHA256 {
		return base.Size, nil
	}
	if err != nil && hawser.CodeOf(err) == hawser.CodeInternal {
		return 0, err
	}
	info, err := delta.Inspect(command.Content.Data)
	return info.BaseSize, err
}

// mismatched makes the error of a payload that is not what it should be; nil
// for nil. An error of the node itself stays what it is.
func mismatched(command *fsm.Save, err error) error {
	switch hawser.CodeOf(err) { //nolint:exhaustive // the two that say so
	case hawser.CodeCorrupt, hawser.CodeTooLarge:
		return invalidSave(command.Agent, "the payload is not what its size, checksum and SHA-256 say: %w", err)
	default:
		return err
	}
}
