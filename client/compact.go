// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"time"

	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// compactTime is what a compaction of a large store may take.
const compactTime = 2 * time.Minute

// Disk is what a node has on disk, in bytes.
type Disk struct {
	// Engine is the state machine's store, Log the Raft log.
	Engine, Log int64
	// LogAppended counts what was ever appended to the log, from its first
	// entry when the node started.
	LogAppended int64
}

// Compact makes the node that answers, one of the configured endpoints, free
// the space of what was removed at once, and returns what it then has on disk.
// Nodes do that by themselves in the background; it is meant for measurements.
func (c *Cluster) Compact(ctx context.Context) (Disk, error) {
	var resp *hawserv1.CompactResponse
	err := c.client.do(ctx, &call{
		op: "compact", slow: compactTime,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			var err error
			resp, err = hawserv1.NewClusterClient(s.conn).Compact(ctx, &hawserv1.CompactRequest{}, s.options...)
			return resp.GetHeader(), err
		},
	})
	return Disk{
		Engine: int64(resp.GetEngineBytes()), Log: int64(resp.GetLogBytes()), LogAppended: int64(resp.GetLogAppendedBytes()),
	}, err
}
