// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/cluster/policy"
)

// Manager does what operators ask. Every call works on the leader only and
// returns CodeNotLeader elsewhere. Nodes are named by ServerID or, where only
// one member has it, by name. Errors carry hawser codes: NotFound, Invalid for
// a name that several members have, Refused where the state of the cluster
// does not allow the change; those of the change itself pass through.
type Manager struct {
	self     string
	raft     Raft
	progress Progress
	gossip   Gossip
	maxLag   uint64
}

// NewManager returns a manager for the node self. A standby that is more than
// 1,024 entries behind is not promoted by hand either.
func NewManager(self string, raft Raft, progress Progress, gossip Gossip) *Manager {
	return &Manager{self: self, raft: raft, progress: progress, gossip: gossip, maxLag: 1024}
}

// Promote makes a standby a voter. A voter stays one, without error. expect is
// the index of the configuration that the caller saw; 0 is any.
func (m *Manager) Promote(ctx context.Context, node string, expect uint64) error {
	conf, err := m.configuration("promote", node, expect)
	if err != nil {
		return err
	}
	server, err := find("promote", conf, node)
	if err != nil || server.Voter {
		return err
	}
	m.awaitContact(ctx, conf)
	f, told := m.progress.Follower(server.ID)
	switch {
	case !told || !inContact(m.progress, server.ID):
		return refused("promote", server.ID, "the leader has no contact with it")
	case f.Lag > m.maxLag:
		return refused("promote", server.ID, "it is %d entries behind; promote it when it is at most %d behind", f.Lag, m.maxLag)
	}
	return m.raft.Promote(ctx, server.ID, conf.Index)
}

// Remove takes a node out of the cluster. A ServerID that is no member is no
// error: it may be a repetition. The last voter is never removed; a removal
// that leaves no live majority only with force. The leader is not removed by
// itself: it hands the leadership over and returns CodeNotLeader, so that the
// call is repeated at the new leader.
func (m *Manager) Remove(ctx context.Context, node string, expect uint64, force bool) error {
	conf, err := m.configuration("remove", node, expect)
	if err != nil {
		return err
	}
	server, err := find("remove", conf, node)
	if hawser.CodeOf(err) == hawser.CodeNotFound && CheckNodeID(node) == nil {
		return nil
	}
	if err != nil {
		return err
	}
	if server.Voter {
		m.awaitContact(ctx, conf)
		if err := m.removable(conf, server.ID, force); err != nil {
			return err
		}
	}
	if server.ID != m.self {
		return m.raft.Remove(ctx, server.ID, conf.Index)
	}
	if err := m.raft.Transfer(ctx, ""); err != nil {
		return fmt.Errorf("remove %s: hand the leadership over first: %w", server.ID, err)
	}
	return &hawser.Error{Code: hawser.CodeNotLeader, Op: "remove", Key: server.ID, Msg: "it was the leader and has handed the leadership over; repeat the call at the new one"}
}

func (m *Manager) removable(conf Configuration, id string, force bool) error {
	rest := conf.voters() - 1
	if rest == 0 {
		return refused("remove", id, "it is the last voter")
	}
	live := 0
	for _, s := range conf.Servers {
		if s.Voter && s.ID != id && m.live(s.ID) {
			live++
		}
	}
	if need := rest/2 + 1; live < need && !force {
		return refused("remove", id, "of the %d other voters only %d live, and %d are needed; add or repair nodes first, or use force", rest, live, need)
	}
	return nil
}

// Transfer hands the leadership to a voter; "" is the one that follows best.
func (m *Manager) Transfer(ctx context.Context, node string) error {
	conf, err := m.configuration("transfer", node, 0)
	if err != nil {
		return err
	}
	if node == "" {
		if conf.voters() < 2 {
			return refused("transfer", m.self, "it is the only voter")
		}
		return m.raft.Transfer(ctx, "")
	}
	server, err := find("transfer", conf, node)
	m.awaitContact(ctx, conf)
	switch {
	case err != nil || server.ID == m.self:
		return err
	case !server.Voter:
		return refused("transfer", server.ID, "it is a standby; promote it first")
	case !m.live(server.ID):
		return refused("transfer", server.ID, "the leader has no contact with it")
	}
	return m.raft.Transfer(ctx, server.ID)
}

// settleTime is how long an operator's call waits for a new leader to hear
// from its followers before it judges them.
const settleTime = 1500 * time.Millisecond

// awaitContact waits until every other member was heard from, for settleTime
// at most: a leader that was elected a moment ago has heard from nobody yet.
func (m *Manager) awaitContact(ctx context.Context, conf Configuration) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for slices.ContainsFunc(conf.Servers, func(s Server) bool { return s.ID != m.self && !inContact(m.progress, s.ID) }) {
		if !sleep(ctx, settleTime/30) {
			return
		}
	}
}

// live reports whether raft has contact, with which gossip does not disagree.
func (m *Manager) live(id string) bool {
	if id == m.self {
		return true
	}
	said := m.gossip(id)
	return inContact(m.progress, id) && said != policy.Dead && said != policy.Left
}

func (m *Manager) configuration(op, node string, expect uint64) (Configuration, error) {
	if !m.raft.IsLeader() {
		return Configuration{}, &hawser.Error{Code: hawser.CodeNotLeader, Op: op, Key: node}
	}
	conf := m.raft.Configuration()
	if expect != 0 && expect != conf.Index {
		return conf, refused(op, node, "the configuration changed: it has index %d, not %d; look at the members again", conf.Index, expect)
	}
	return conf, nil
}

func find(op string, conf Configuration, node string) (Server, error) {
	if s, ok := conf.Find(node); ok {
		return s, nil
	}
	var same []string
	for _, s := range conf.Servers {
		if node != "" && NodeName(s.ID) == node {
			same = append(same, s.ID)
		}
	}
	switch len(same) {
	case 0:
		return Server{}, &hawser.Error{Code: hawser.CodeNotFound, Op: op, Key: node, Msg: "is no member of the cluster"}
	case 1:
		s, _ := conf.Find(same[0])
		return s, nil
	}
	return Server{}, &hawser.Error{Code: hawser.CodeInvalid, Op: op, Key: node, Msg: "is the name of several members: use one of " + strings.Join(same, ", ")}
}

func refused(op, node, format string, args ...any) error {
	return &hawser.Error{Code: hawser.CodeRefused, Op: op, Key: node, Msg: fmt.Sprintf(format, args...)}
}
