// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"maps"
	"slices"
	"sync"

	"github.com/hawserdb/hawser/cluster/consensus"
	"github.com/hawserdb/hawser/cluster/membership"
)

const (
	minFreeShare = 20      // 1/20 = 5 %
	minFreeBytes = 2 << 30 // and at least 2 GiB
)

// space is the free and total bytes of a file system.
type space struct{ free, total uint64 }

// diskWatch knows how much disk the voters have and says when the cluster
// must not grow: while no majority of them is above the mark, so that an
// entry that is taken can also be written.
type diskWatch struct {
	// mark returns the bytes that must stay free of a file system's total.
	mark func(total uint64) uint64

	mu    sync.Mutex
	known map[string]space // by ServerID; guarded by mu
}

func newDiskWatch(minFree int64) *diskWatch {
	w := &diskWatch{known: map[string]space{}}
	switch {
	case minFree < 0:
		w.mark = func(uint64) uint64 { return 0 }
	case minFree > 0:
		w.mark = func(uint64) uint64 { return uint64(minFree) }
	default:
		w.mark = func(total uint64) uint64 { return max(total/minFreeShare, minFreeBytes) }
	}
	return w
}

// observe notes what a node said of its disk. Zero totals say nothing.
func (w *diskWatch) observe(node string, s space) {
	if s.total == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known[node] = s
}

// full reports whether fewer than a majority of voters is above the mark. A
// voter that said nothing yet counts as having room: a node that is down has
// to be outvoted by the disks that are known, not by silence.
func (w *diskWatch) full(voters []string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	room := 0
	for _, v := range voters {
		if s, known := w.known[v]; !known || s.free >= w.mark(s.total) {
			room++
		}
	}
	return len(voters) > 0 && room <= len(voters)/2
}

// forget drops what is known of nodes that are no longer members.
func (w *diskWatch) forget(members []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.known, func(node string, _ space) bool { return !slices.Contains(members, node) })
}

const (
	// maxBehindBytes is the most log kept for a member that is behind, and
	// behindShare the share of the disk that it may take: 1/5 = 20 %.
	maxBehindBytes = 8 << 30
	behindShare    = 5
	// alarmLogBytes is the size of a log that an operator should look at: twice
	// what is always kept.
	alarmLogBytes = 2 << 30
)

// keepBehind returns how much log is kept for a member that is behind, on a
// disk of total bytes.
func keepBehind(total uint64) int64 {
	if total == 0 {
		return maxBehindBytes
	}
	return int64(min(maxBehindBytes, total/behindShare))
}

// retention returns how much log the node keeps.
func (n *Node) retention() consensus.Retention {
	r := n.cfg.Tuning.Retention
	if s, err := n.space(); err == nil && r.KeepBehindBytes == 0 {
		r.KeepBehindBytes = keepBehind(s.total)
	}
	return r
}

// space returns the space of the file system with the node's data.
func (n *Node) space() (space, error) {
	free, total, err := membership.FreeSpace(n.dir.Path())
	return space{free: free, total: total}, err
}
