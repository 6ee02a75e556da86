// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"slices"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// restoreMessage is the size from which the deltas of a version go on in the
// next message; no delta or part is longer than half of it.
const restoreMessage = 256 << 10

// Restore implements hawserv1.StateServer.
func (s *Service) Restore(r *hawserv1.RestoreRequest, stream grpc.ServerStreamingServer[hawserv1.RestoreResponse]) error {
	agent, b, view, err := s.agentView(stream.Context(), r.GetAgent(), r.GetRead())
	if err != nil {
		return err
	}
	defer closeView(view)
	version, path, err := view.Path(agent, r.GetVersion())
	if err != nil {
		return err
	}
	held, err := heldBy(view, version, path, r.GetBase())
	if err != nil {
		return err
	}
	first := &hawserv1.RestoreResponse{}
	if r.GetMessages() && r.GetVersion() == 0 {
		in, err := view.Inbox(agent, 0, inboxPage, inboxBytes)
		if err != nil {
			return err
		}
		first.Messages, first.MoreMessages = messagesToProto(in.Messages), in.More
	}
	info := view.Info()
	first.Header, first.Version, first.Chain = b.header(info, info.Revision), wire.VersionToProto(version), wire.ChainToProto(path.Chain)
	ref := hawser.VersionRef{Agent: agent, Number: version.Number}
	restore := restoring{view: view, ref: ref, send: stream.Send, more: r.GetEffects()}
	err = restore.all(path.Places[held:], held == 0, first)
	if err == nil && restore.more {
		err = restore.effects()
	}
	return err
}

// heldBy returns how many contents of the path to version the caller has, who
// holds base: all up to that one, or none if it is not on the path.
func heldBy(view *fsm.View, version hawser.Version, path fsm.Path, base *hawserv1.Base) (int, error) {
	if base == nil {
		return 0, nil
	}
	number, sha, err := wire.BaseFromProto(base)
	if err != nil {
		return 0, err
	}
	if number == version.Number && sha == version.SHA256 {
		return len(path.Places), nil
	}
	holds, theirs, err := view.Path(version.Agent, number)
	switch {
	case errors.Is(err, hawser.ErrNotFound), errors.Is(err, hawser.ErrVersionGone), errors.Is(err, hawser.ErrCorrupt):
		return 0, nil
	case err != nil:
		return 0, err
	case holds.SHA256 != sha:
		return 0, nil
	}
	return 1 + slices.Index(path.Places, theirs.Places[len(theirs.Places)-1]), nil
}

// restoring sends the contents of one version. It holds one message and one
// content.
type restoring struct {
	view *fsm.View
	ref  hawser.VersionRef
	send func(*hawserv1.RestoreResponse) error
	// more is read after the contents.
	more bool
}

// all sends the contents of places, the first of which is a keyframe if whole
// says so, and the others deltas. The first message is m.
func (r restoring) all(places []fsm.Place, whole bool, m *hawserv1.RestoreResponse) error {
	size := 0
	for i, at := range places {
		c, _, err := r.view.ContentAt(at.Segment, at.Position)
		if err != nil {
			return r.damaged(err)
		}
		if size += len(c.Data); size > restoreMessage {
			if err := r.send(m); err != nil {
				return err
			}
			m, size = &hawserv1.RestoreResponse{}, len(c.Data)
		}
		payload := wire.ContentToProto(c)
		if whole && i == 0 {
			m.Keyframe = payload
		} else {
			m.Deltas = append(m.Deltas, payload)
		}
		if c.Parts == 0 {
			continue
		}
		if err := r.parts(c, m); err != nil {
			return err
		}
		if i == len(places)-1 {
			return nil
		}
		m, size = &hawserv1.RestoreResponse{}, 0
	}
	if !r.more {
		closeView(r.view) // nothing more is read, however slowly the caller takes it
	}
	return r.send(m)
}

// damaged is err, about the version if a content of it is.
func (r restoring) damaged(err error) error {
	if !errors.Is(err, hawser.ErrCorrupt) {
		return err
	}
	return &hawser.Error{Code: hawser.CodeCorrupt, Op: "version", Key: r.ref.String(), Err: err}
}

// parts sends m, which ends with c, and then c's parts.
func (r restoring) parts(c record.Content, m *hawserv1.RestoreResponse) error {
	if err := r.send(m); err != nil {
		return err
	}
	for index := range c.Parts {
		part, err := r.view.Part(c.Upload, index)
		if errors.Is(err, hawser.ErrNotFound) {
			err = &hawser.Error{Code: hawser.CodeCorrupt, Op: "restore", Msg: "a part is missing", Err: err}
		}
		if err != nil {
			return err
		}
		if err := r.send(&hawserv1.RestoreResponse{Part: part}); err != nil {
			return err
		}
	}
	return nil
}
