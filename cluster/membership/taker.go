// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/cluster/policy"
	"github.com/hawserdb/hawser/internal/peerpb"
)

// justTaken is for how long a node that was taken in counts as live before it
// made contact.
const justTaken = 10 * time.Second

// TakerConfig configures a [Taker].
type TakerConfig struct {
	Self     string
	Raft     Raft
	Store    Store
	Book     *Book
	Progress Progress
	Gossip   Gossip
	// Generation is the cluster's generation as the machine knows it; where it
	// returns 0 the store's is told.
	Generation func() uint64
	// Level is the cluster's feature level.
	Level  func() uint32
	Logger *slog.Logger
}

// Taker answers the Join calls of other nodes.
type Taker struct {
	cfg    TakerConfig
	taking chan struct{} // room for one: joins are taken one at a time
	taken  map[string]time.Time
}

// NewTaker returns a taker.
func NewTaker(cfg TakerConfig) *Taker {
	cfg.Logger = orDiscard(cfg.Logger)
	return &Taker{cfg: cfg, taking: make(chan struct{}, 1), taken: map[string]time.Time{}}
}

// Take takes the node caller, by its authenticated ServerID, in as a standby,
// or names the leader's address to ask instead. A node that is a member already
// is told so again. Errors carry codes: Invalid for a malformed request,
// Refused for a node that cannot be taken in as things are, Unavailable where
// no leader is known, and those of the change itself.
func (t *Taker) Take(ctx context.Context, req *peerpb.JoinRequest, caller string) (*peerpb.JoinResponse, error) {
	node := Address{ID: req.GetNode().GetId(), Peer: req.GetNode().GetPeerAddress()}
	if err := checkAddress(node); err != nil {
		return nil, joinError(hawser.CodeInvalid, caller, "%v", err)
	}
	if node.ID != caller {
		return nil, joinError(hawser.CodeInvalid, caller, "asks in the name of %s", node.ID)
	}
	if !t.cfg.Raft.IsLeader() {
		return t.pointToLeader(caller)
	}
	select {
	case t.taking <- struct{}{}:
		defer func() { <-t.taking }()
	case <-ctx.Done():
		return nil, joinError(hawser.CodeUnavailable, caller, "another node is being taken in")
	}
	if err := t.take(ctx, node, req.GetFeatureLevel()); err != nil {
		return nil, err
	}
	return t.answer()
}

func joinError(code hawser.Code, node, format string, args ...any) error {
	return &hawser.Error{Code: code, Op: "join", Key: node, Msg: fmt.Sprintf(format, args...)}
}

func (t *Taker) pointToLeader(caller string) (*peerpb.JoinResponse, error) {
	leader := t.cfg.Raft.Leader()
	addr, known := t.cfg.Book.Resolve(leader)
	if leader == "" || leader == t.cfg.Self || !known {
		return nil, joinError(hawser.CodeUnavailable, caller, "no leader is known here")
	}
	return &peerpb.JoinResponse{LeaderAddress: addr}, nil
}

func (t *Taker) take(ctx context.Context, node Address, level uint32) error {
	conf := t.cfg.Raft.Configuration()
	_, member := conf.Find(node.ID)
	if err := t.refusal(conf, node, level, member); err != nil {
		return err
	}
	if err := t.cfg.Book.Learn(node); err != nil {
		return err
	}
	if member {
		return nil
	}
	if err := t.cfg.Raft.AddStandby(ctx, node.ID); err != nil {
		return err
	}
	t.taken[node.ID] = time.Now()
	t.cfg.Logger.Info("node taken in as a standby", "member", node.ID, "address", node.Peer)
	return nil
}

func (t *Taker) refusal(conf Configuration, node Address, level uint32, member bool) error {
	if need := t.cfg.Level(); level < need {
		return joinError(hawser.CodeRefused, node.ID, "its feature level %d is below the cluster's %d: start it with a newer hawser", level, need)
	}
	if !member && len(conf.Servers) >= MaxMembers {
		return joinError(hawser.CodeRefused, node.ID, "the cluster has %d members already", len(conf.Servers))
	}
	for _, s := range conf.Servers {
		if s.ID == node.ID || !t.live(s.ID) {
			continue
		}
		if NodeName(s.ID) == NodeName(node.ID) {
			return joinError(hawser.CodeRefused, node.ID, "another node with the name %q lives (%s): choose another --name, or stop that one", NodeName(s.ID), s.ID)
		}
		if addr, known := t.cfg.Book.Resolve(s.ID); known && addr == node.Peer {
			return joinError(hawser.CodeRefused, node.ID, "its peer address %s is that of %s, which lives", addr, s.ID)
		}
	}
	return nil
}

// live reports whether the member id shows any sign of life. A node whose
// directory was wiped is refused until its old id shows none.
func (t *Taker) live(id string) bool {
	if id == t.cfg.Self || inContact(t.cfg.Progress, id) {
		return true
	}
	for taken, at := range t.taken {
		if time.Since(at) > justTaken {
			delete(t.taken, taken)
		}
	}
	_, taken := t.taken[id]
	return taken || t.cfg.Gossip(id) == policy.Alive
}

func (t *Taker) answer() (*peerpb.JoinResponse, error) {
	s := t.cfg.Store.State()
	id, generation := s.Identity()
	if g := t.cfg.Generation(); g > 0 {
		generation = g
	}
	resp := &peerpb.JoinResponse{ClusterId: id[:], Generation: generation}
	for _, server := range t.cfg.Raft.Configuration().Servers {
		at := slices.IndexFunc(s.Book, func(a Address) bool { return a.ID == server.ID })
		if at < 0 {
			continue
		}
		resp.Members = append(resp.Members, &peerpb.Node{Id: server.ID, PeerAddress: s.Book[at].Peer, Voter: server.Voter})
	}
	if id.IsZero() {
		return nil, joinError(hawser.CodeInternal, "", "the leader's directory names no cluster")
	}
	return resp, nil
}
