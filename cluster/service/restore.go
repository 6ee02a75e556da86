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
	contents := path.Contents[held:]
	if !slices.ContainsFunc(contents, func(c fsm.Stored) bool { return c.Parts > 0 }) {
		closeView(view) // everything is here, however slowly the caller takes it
	}
	info := view.Info()
	return restoring{view: view, send: stream.Send}.all(contents, held == 0, &hawserv1.RestoreResponse{
		Header:  b.header(info, info.Revision),
		Version: wire.VersionToProto(version),
		Chain:   wire.ChainToProto(path.Chain),
	})
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
		return len(path.Contents), nil
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
	at := theirs.Contents[len(theirs.Contents)-1]
	held := 1 + slices.IndexFunc(path.Contents, func(c fsm.Stored) bool {
		return c.Segment == at.Segment && c.Position == at.Position
	})
	return held, nil
}

// restoring sends the contents of one version.
type restoring struct {
	view *fsm.View
	send func(*hawserv1.RestoreResponse) error
}

// all sends contents, the first of which is a keyframe if whole says so, and
// the others deltas. The first message is m.
func (r restoring) all(contents []fsm.Stored, whole bool, m *hawserv1.RestoreResponse) error {
	size := 0
	for i, c := range contents {
		if size += len(c.Data); size > restoreMessage {
			if err := r.send(m); err != nil {
				return err
			}
			m, size = &hawserv1.RestoreResponse{}, len(c.Data)
		}
		payload := wire.ContentToProto(c.Content)
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
		if i == len(contents)-1 {
			return nil
		}
		m, size = &hawserv1.RestoreResponse{}, 0
	}
	return r.send(m)
}

// parts sends m, which ends with c, and then c's parts.
func (r restoring) parts(c fsm.Stored, m *hawserv1.RestoreResponse) error {
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
