// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/peerpb"
)

// maxHops bounds how often one round of a join follows hints to the leader.
const maxHops = 8

// JoinConfig configures a [Joiner]. Zero durations mean the defaults.
type JoinConfig struct {
	Self         Address
	FeatureLevel uint32
	// Addresses are the peer addresses to ask, in this order.
	Addresses []string
	Dialer    Dialer
	Store     Store
	Logger    *slog.Logger
	// AttemptTimeout of one call (default 10 s: the leader commits a change),
	// Backoff after the first round that failed (250 ms, doubled up to
	// MaxBackoff, 5 s, and jittered), ReportEvery between two log lines that
	// say what it waits for (5 s).
	AttemptTimeout, Backoff, MaxBackoff, ReportEvery time.Duration
}

// Joiner asks members of a cluster to take a node in as a standby.
type Joiner struct {
	cfg     JoinConfig
	waiting atomic.Pointer[string]
}

// NewJoiner returns a joiner. Errors match hawser.ErrInvalid.
func NewJoiner(cfg JoinConfig) (*Joiner, error) {
	if err := checkAddress(cfg.Self); err != nil {
		return nil, err
	}
	addrs := make([]string, 0, len(cfg.Addresses))
	for _, addr := range cfg.Addresses {
		canonical, err := CanonicalAddress(addr)
		if err != nil {
			return nil, err
		}
		if canonical != cfg.Self.Peer {
			addrs = append(addrs, canonical)
		}
	}
	if len(addrs) == 0 || len(addrs) > MaxMembers {
		return nil, invalidJoin(fmt.Sprintf("needs 1 to %d peer addresses of other nodes, got %d", MaxMembers, len(addrs)))
	}
	cfg.Addresses = addrs
	return newJoiner(cfg), nil
}

func newJoiner(cfg JoinConfig) *Joiner {
	cfg.AttemptTimeout = orDefault(cfg.AttemptTimeout, 10*time.Second)
	cfg.Backoff = orDefault(cfg.Backoff, 250*time.Millisecond)
	cfg.MaxBackoff = orDefault(cfg.MaxBackoff, 5*time.Second)
	cfg.ReportEvery = orDefault(cfg.ReportEvery, 5*time.Second)
	cfg.Logger = orDiscard(cfg.Logger)
	return &Joiner{cfg: cfg}
}

// Run asks until the node is taken in, which is durable when it returns nil.
// It returns at once for a node that belongs to a cluster. Raft must not run
// meanwhile. Errors: ctx's, and *halt.Error where the answer cannot be stored.
func (j *Joiner) Run(ctx context.Context) error {
	report := newReporter(j.cfg.Logger, j.cfg.ReportEvery, "joining the cluster waits")
	for backoff := j.cfg.Backoff; ; backoff = min(2*backoff, j.cfg.MaxBackoff) {
		if !j.cfg.Store.State().ClusterID.IsZero() {
			return nil
		}
		problems, err := j.round(ctx, j.cfg.Addresses, func(_ ClusterID, accept func() error) error { return accept() })
		if err == nil && problems == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		waiting := strings.Join(problems, "; ")
		j.waiting.Store(&waiting)
		report.say(waiting)
		if !sleep(ctx, jitter(backoff)) {
			return ctx.Err()
		}
	}
}

// Waiting says why the last round failed, or "".
func (j *Joiner) Waiting() string {
	if s := j.waiting.Load(); s != nil {
		return *s
	}
	return ""
}

// round asks each address, and those that they name as the leader's, once. It
// returns what each had against it, or nil when the node was taken in; the
// error is a *halt.Error. wrap runs the function that stores the answer.
func (j *Joiner) round(ctx context.Context, addrs []string, wrap func(ClusterID, func() error) error) ([]string, error) {
	var problems []string
	asked := map[string]bool{}
	queue := append([]string(nil), addrs...)
	for hops := 0; len(queue) > 0; {
		addr := queue[0]
		queue = queue[1:]
		if asked[addr] {
			continue
		}
		asked[addr] = true
		resp, err := j.ask(ctx, addr)
		if err == nil && resp.GetLeaderAddress() != "" {
			leader, badAddr := CanonicalAddress(resp.GetLeaderAddress())
			if hops++; badAddr == nil && hops <= maxHops {
				queue = append([]string{leader}, queue...) // ask the leader next
			}
			problems = append(problems, fmt.Sprintf("%s names %s as the leader", addr, resp.GetLeaderAddress()))
			continue
		}
		if err == nil {
			err = j.accept(resp, wrap)
		}
		if err == nil {
			return nil, nil
		}
		if _, stop := errors.AsType[*halt.Error](err); stop {
			return nil, err
		}
		problems = append(problems, fmt.Sprintf("%s: %v", addr, err))
	}
	return problems, nil
}

func (j *Joiner) ask(ctx context.Context, addr string) (*peerpb.JoinResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, j.cfg.AttemptTimeout)
	defer cancel()
	return j.cfg.Dialer.Join(ctx, addr, &peerpb.JoinRequest{
		Node: &peerpb.Node{Id: j.cfg.Self.ID, PeerAddress: j.cfg.Self.Peer}, FeatureLevel: j.cfg.FeatureLevel,
	})
}

// accept stores that the node was taken in.
func (j *Joiner) accept(resp *peerpb.JoinResponse, wrap func(ClusterID, func() error) error) error {
	id, ok := clusterIDFrom(resp.GetClusterId())
	if !ok || resp.GetGeneration() == 0 || len(resp.GetMembers()) > MaxMembers {
		return errors.New("malformed answer")
	}
	members := addressesOf(resp.GetMembers())
	return wrap(id, func() error {
		err := j.cfg.Store.Update(func(s *State) error {
			switch {
			case !s.ClusterID.IsZero() && s.ClusterID != id:
				return fmt.Errorf("node %s belongs to cluster %s, not %s", s.Node, s.ClusterID.Short(), id.Short())
			case s.refuses(id):
				return fmt.Errorf("node %s promised itself to another cluster since it knew %s; start it with an empty data directory", s.Node, id.Short())
			case s.Promise != nil && s.Promise.ClusterID != id:
				s.refuse(s.Promise.ClusterID)
				s.Promise = nil
			}
			s.ClusterID, s.Generation = id, resp.GetGeneration()
			s.learn(members...)
			return nil
		})
		if err == nil {
			j.cfg.Logger.Info("taken in by the cluster", "cluster", id.String(), "members", len(members))
		}
		return err
	})
}

// addressesOf returns the nodes that have a valid id and address.
func addressesOf(nodes []*peerpb.Node) []Address {
	var known []Address
	for _, n := range nodes {
		if a := (Address{ID: n.GetId(), Peer: n.GetPeerAddress()}); checkAddress(a) == nil {
			known = append(known, a)
		}
	}
	return known
}
