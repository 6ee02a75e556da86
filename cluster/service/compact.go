// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"

	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// Compact implements hawserv1.ClusterServer, for the node that is asked.
func (s *Service) Compact(ctx context.Context, _ *hawserv1.CompactRequest) (*hawserv1.CompactResponse, error) {
	b, err := s.ready()
	if err != nil {
		return nil, err
	}
	disk, err := b.Compact(ctx)
	if err != nil {
		return nil, err
	}
	info := b.Machine.Info()
	return &hawserv1.CompactResponse{
		Header:      b.header(info, info.Revision),
		EngineBytes: uint64(disk.Engine), LogBytes: uint64(disk.Log), LogAppendedBytes: uint64(disk.LogAppended),
	}, nil
}
