// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fakecluster

import (
	"bytes"
	"slices"

	"google.golang.org/grpc"

	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// Restore implements hawserv1.StateServer.
func (s *state) Restore(r *hawserv1.RestoreRequest, stream grpc.ServerStreamingServer[hawserv1.RestoreResponse]) error {
	messages, err := s.restore(r)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	return nil
}

func (s *state) restore(r *hawserv1.RestoreRequest) ([]*hawserv1.RestoreResponse, error) {
	c, end, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	found, err := c.findLocked(r.GetAgent(), r.GetVersion())
	if err != nil {
		return nil, err
	}
	first := &hawserv1.RestoreResponse{Header: s.node.headerLocked(), Version: found.version, Chain: wire.ChainToProto(found.sum)}
	path := found.path
	if base := c.baseLocked(r, found); base > 0 {
		path = path[base:]
	}
	return messagesOf(first, path), nil
}

// baseLocked returns how many contents of the path of found make the version
// that the caller holds, 0 if that is not on it.
func (c *Cluster) baseLocked(r *hawserv1.RestoreRequest, found *number) int {
	base, err := c.findLocked(r.GetAgent(), r.GetBase().GetNumber())
	if r.GetBase() == nil || err != nil || !slices.Equal(base.version.GetSha256(), r.GetBase().GetSha256()) {
		return 0
	}
	n := min(len(base.path), len(found.path))
	same := func(a, b record.Content) bool { return bytes.Equal(a.Data, b.Data) }
	if !slices.EqualFunc(base.path, found.path[:n], same) {
		return 0
	}
	return n
}

// messagesOf is a stream of the contents of a path.
func messagesOf(first *hawserv1.RestoreResponse, path []record.Content) []*hawserv1.RestoreResponse {
	messages := []*hawserv1.RestoreResponse{first}
	last := first
	for _, content := range path {
		payload := wire.ContentToProto(content)
		switch {
		case content.Kind == record.Keyframe:
			first.Keyframe = payload
		case last.GetPart() != nil:
			last = &hawserv1.RestoreResponse{Deltas: []*hawserv1.Payload{payload}}
			messages = append(messages, last)
		default:
			last.Deltas = append(last.Deltas, payload)
		}
		if content.Parts == 0 {
			continue
		}
		for part := range slices.Chunk(content.Data, record.PartSize) {
			last = &hawserv1.RestoreResponse{Part: part}
			messages = append(messages, last)
		}
	}
	return messages
}
