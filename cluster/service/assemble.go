// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/wire"
)

// assemble takes a save in parts at the leader: it stages the parts while it
// verifies them, and then saves.
func (b *Backend) assemble(ctx context.Context, in incoming) (*hawserv1.SaveResponse, error) {
	if resp, err := b.foresee(ctx, in); resp != nil || err != nil {
		return resp, err
	}
	upload := uploadOf(in.command)
	content, err := newCollector(in.command, in.first.GetSave().GetPayload().GetParts())
	content.vote = in.vote != nil
	if err != nil {
		return nil, err
	}
	defer content.close()
	if err := b.stageAll(ctx, in, upload, content); err != nil {
		if errors.Is(err, hawser.ErrInvalid) {
			b.giveUp(ctx, upload) // it never fits this request
		}
		return nil, unexecuted(err)
	}
	if in.command.Content.Parts > 0 {
		in.command.Content.Upload = upload
	}
	return b.saveStaged(ctx, in)
}

// stageAll reads to the end and returns when all parts are staged and the
// whole is verified, except for a content of one part, which goes inline.
func (b *Backend) stageAll(ctx context.Context, in incoming, upload [16]byte, content *collector) error {
	st := newStager(ctx, b, upload, in.command.Request.Attempt > 0)
	defer st.close()
	for {
		m, err := in.next()
		if err != nil {
			return cut(err)
		}
		switch {
		case m.GetEnd() != nil:
			if err := content.finish(ctx, b, m.GetEnd()); err != nil {
				return err
			}
			return st.wait()
		case m.GetSave() != nil:
			return invalidSave(in.command.Agent, "a second save in one stream")
		}
		ready, err := content.take(m.GetPart())
		if err != nil {
			return err
		}
		for _, part := range ready {
			if err := st.put(part); err != nil {
				return err
			}
		}
	}
}

// saveStaged runs the save, whose parts are staged.
func (b *Backend) saveStaged(ctx context.Context, in incoming) (*hawserv1.SaveResponse, error) {
	resp, err := b.save(ctx, in.command, in.vote)
	code := hawser.CodeOf(err)
	switch {
	case err == nil:
		return resp, nil
	case code == hawser.CodeOutcomeUnknown:
		return nil, unknownOutcome(in.id)(err)
	case in.command.Content.Parts > 0 && lostParts(err):
		return nil, &hawser.Error{Code: hawser.CodeUnavailable, Op: "save", Msg: "its parts were given up meanwhile; send them again", Err: err}
	case in.command.Content.Parts > 0 && code.Retry() == hawser.RetryNever && ctx.Err() == nil:
		b.giveUp(ctx, in.command.Content.Upload)
	}
	return nil, unexecuted(err)
}

// lostParts reports whether the machine misses parts that had been staged:
// they expired, or another attempt's refusal gave them up.
func lostParts(err error) bool {
	e, ok := errors.AsType[*hawser.Error](err)
	return ok && e.Code == hawser.CodeInvalid && e.Op == "upload"
}

// giveUp lets the machine drop what was staged for a save that it refused. It
// is a courtesy: otherwise that occupies room until it expires.
func (b *Backend) giveUp(ctx context.Context, upload [16]byte) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = b.submit(ctx, &fsm.ExpireUploads{Uploads: [][16]byte{upload}, Before: math.MaxInt64})
}

// uploadOf returns the id under which the parts of a save are staged. It is
// the same for every attempt, and another one when the same request comes with
// the whole state after its delta was refused.
func uploadOf(command *fsm.Save) [16]byte {
	b := append([]byte("upload"), command.Request.Nonce[:]...)
	b = append(b, byte(command.Content.Kind), byte(command.Content.Encoding))
	b = binary.BigEndian.AppendUint64(b, command.Content.Size)
	b = append(b, command.SHA256[:]...)
	b = append(b, command.Agent.String()...)
	sum := sha256.Sum256(b)
	return [16]byte(sum[:])
}

// foresee answers a save before its parts are read, if it can be answered: it
// was executed by an earlier attempt, or would be refused now.
func (b *Backend) foresee(ctx context.Context, in incoming) (*hawserv1.SaveResponse, error) {
	if in.vote != nil {
		return b.voted(ctx, in.vote)
	}
	command := in.command
	if err := b.linearizable(ctx); err != nil {
		return nil, err
	}
	view, err := b.Machine.View()
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	outcome, err := view.Outcome(command.Agent, hawser.RequestSave, command.Request, command.Expect)
	switch {
	case err != nil:
		return nil, err
	case outcome.State == fsm.OutcomeDone && (outcome.Version.SHA256 != command.SHA256 || !bytes.Equal(outcome.Moved, command.Moved())):
		return nil, &hawser.Error{Code: hawser.CodeRequestMismatch, Op: "save", Key: command.Agent.String(), Msg: "the request id saved another state, or consumed or sent other messages"}
	case outcome.State == fsm.OutcomeDone:
		return b.repeated(view, outcome)
	case outcome.State == fsm.OutcomeExpired && command.Request.Attempt > 0:
		return nil, &hawser.Error{Code: hawser.CodeRequestExpired, Op: "save", Key: command.Agent.String(), Msg: "restore the head, then decide"}
	}
	return nil, refusedNow(view, command, in.id)
}

// repeated is the answer to a save that an earlier attempt has made.
func (b *Backend) repeated(view *fsm.View, outcome fsm.Outcome) (*hawserv1.SaveResponse, error) {
	resp := &hawserv1.SaveResponse{
		Header: b.header(view.Info(), outcome.Revision), Version: wire.VersionToProto(outcome.Version), Repeated: true,
	}
	_, path, err := view.Path(outcome.Version.Agent, outcome.Number)
	switch hawser.CodeOf(err) { //nolint:exhaustive // how a version that was made may be not there
	case hawser.CodeOK:
		resp.Chain = wire.ChainToProto(path.Chain)
	case hawser.CodeNotFound, hawser.CodeVersionGone, hawser.CodeCorrupt:
	default:
		return nil, err
	}
	return resp, nil
}

// refusedNow returns why the machine would refuse the save at the view's
// moment, nil if that cannot be told.
func refusedNow(view *fsm.View, command *fsm.Save, id hawser.RequestID) error {
	agent, err := view.Agent(command.Agent)
	if err != nil && !errors.Is(err, hawser.ErrNotFound) {
		return err
	}
	var head hawser.Version
	if agent.Version != nil {
		head = *agent.Version
	}
	switch base := command.Base; {
	case id.Expect != nil && *id.Expect != head.Number:
		return &hawser.ConflictError{Agent: command.Agent, Expected: id.Expect, Head: head}
	case base != nil && (base.Number != head.Number || base.SHA256 != head.SHA256 || head.State != hawser.VersionLive):
		return &hawser.Error{
			Code: hawser.CodeKeyframeNeeded, Op: "save", Key: command.Agent.String(), Msg: "the head is not what the delta starts from; save the whole state",
		}
	}
	return nil
}

// holds reports whether a part is staged already.
func (b *Backend) holds(upload [16]byte, index uint32, data []byte) bool {
	view, err := b.Machine.View()
	if err != nil {
		return false
	}
	defer closeView(view)
	there, err := view.Part(upload, index)
	return err == nil && bytes.Equal(there, data)
}
