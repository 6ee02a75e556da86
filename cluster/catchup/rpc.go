// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package catchup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/peerpb"
	"github.com/hawserdb/hawser/internal/wire"
)

// filesPerMessage is how many files of a manifest go in one message.
const filesPerMessage = 4096

// SendManifest answers a Checkpoint call with a manifest of s. Errors carry
// hawser codes.
func (s *Source) SendManifest(req *peerpb.CheckpointRequest, stream grpc.ServerStreamingServer[peerpb.CheckpointResponse]) error {
	m, err := s.Manifest(stream.Context(), req.GetId(), req.GetMinIndex(), func(prepared, total int64) error {
		return stream.Send(&peerpb.CheckpointResponse{Prepared: uint64(prepared), Total: uint64(total)})
	})
	if err != nil {
		return err
	}
	sum := m.Sum()
	resp := &peerpb.CheckpointResponse{Head: &peerpb.CheckpointHead{
		Id: m.ID, Index: m.Meta.Index, Term: m.Meta.Term, Configuration: m.Meta.Configuration,
		ConfigurationIndex: m.Meta.ConfigurationIndex, Files: uint32(len(m.Files)), Sha256: sum[:],
	}}
	for i := range m.Files {
		f := &m.Files[i]
		resp.Files = append(resp.Files, &peerpb.CheckpointFile{Name: f.Name, Size: uint64(f.Size), Sha256: f.Sum[:]})
		if len(resp.GetFiles()) == filesPerMessage || i == len(m.Files)-1 {
			if err := stream.Send(resp); err != nil {
				return err
			}
			resp = &peerpb.CheckpointResponse{}
		}
	}
	return nil
}

// SendFile answers a ReadCheckpoint call. Errors carry hawser codes.
func (s *Source) SendFile(req *peerpb.ReadCheckpointRequest, stream grpc.ServerStreamingServer[peerpb.ReadCheckpointResponse]) error {
	return s.Read(stream.Context(), req.GetId(), req.GetFile(), int64(req.GetOffset()), func(b []byte) error {
		return stream.Send(&peerpb.ReadCheckpointResponse{Data: b})
	})
}

// AskManifest calls Checkpoint and returns the manifest, whose own sum it has
// verified, and nothing else.
func AskManifest(ctx context.Context, peer peerpb.PeerClient, id string, minIndex uint64, preparing func(prepared, total int64)) (*Manifest, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := peer.Checkpoint(ctx, &peerpb.CheckpointRequest{Id: id, MinIndex: minIndex})
	if err != nil {
		return nil, wire.FromStatus(err)
	}
	var head *peerpb.CheckpointHead
	m := &Manifest{}
	for head == nil || len(m.Files) < int(head.GetFiles()) {
		resp, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("the list of files was cut short at %d of %d", len(m.Files), head.GetFiles())
		case err != nil:
			return nil, cause(ctx, err)
		case head == nil && resp.GetHead() == nil:
			preparing(int64(resp.GetPrepared()), int64(resp.GetTotal()))
			continue
		case head == nil:
			if head = resp.GetHead(); head.GetFiles() > maxFiles {
				return nil, fmt.Errorf("checkpoint of %d files, at most %d are allowed", head.GetFiles(), maxFiles)
			}
			m.ID, m.Meta = head.GetId(), fsm.Meta{
				Index: head.GetIndex(), Term: head.GetTerm(), Configuration: head.GetConfiguration(), ConfigurationIndex: head.GetConfigurationIndex(),
			}
		}
		if err := m.add(resp.GetFiles(), int(head.GetFiles())); err != nil {
			return nil, err
		}
	}
	if sum := m.Sum(); string(sum[:]) != string(head.GetSha256()) {
		return nil, errors.New("the list of files does not have the checksum that came with it")
	}
	return m, nil
}

// add takes up files, count of which there are in all.
func (m *Manifest) add(files []*peerpb.CheckpointFile, count int) error {
	if len(files) == 0 || len(m.Files)+len(files) > count {
		return fmt.Errorf("the list has %d more files after %d of %d", len(files), len(m.Files), count)
	}
	for _, f := range files {
		if len(f.GetSha256()) != sha256.Size {
			return fmt.Errorf("file %q has no checksum", f.GetName())
		}
		m.Files = append(m.Files, File{Name: f.GetName(), Size: int64(f.GetSize()), Sum: [sha256.Size]byte(f.GetSha256())})
	}
	return nil
}

// AskFile calls ReadCheckpoint and hands what comes to take.
func AskFile(ctx context.Context, peer peerpb.PeerClient, id, file string, offset int64, take func([]byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := peer.ReadCheckpoint(ctx, &peerpb.ReadCheckpointRequest{Id: id, File: file, Offset: uint64(offset)})
	if err != nil {
		return wire.FromStatus(err)
	}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return cause(ctx, err)
		}
		if err := take(resp.GetData()); err != nil {
			return err
		}
	}
}

// cause prefers why ctx ended to what the transport makes of it.
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return wire.FromStatus(err)
}
