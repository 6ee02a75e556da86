// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/peerpb"
)

// coordinate founds the cluster if all answered well: its own durable promise
// first, then everybody else's, then the first configuration.
func (f *Founder) coordinate(ctx context.Context, answers []answer, problems []string) (bool, error) {
	if len(problems) > 0 {
		f.wait(problems...)
		return false, nil
	}
	promise, err := f.promiseOurselves(ctx, answers)
	if _, stop := errors.AsType[*halt.Error](err); stop {
		return false, err
	}
	if err != nil {
		f.wait("this node cannot promise itself: " + err.Error())
		return false, nil //nolint:nilerr // it waits and tries again
	}
	members := make([]*peerpb.Node, len(promise.Members))
	for i, m := range promise.Members {
		members[i] = &peerpb.Node{Id: m.ID, PeerAddress: m.Peer, Voter: true}
	}
	for _, a := range f.ask(ctx, &peerpb.PromiseRequest{
		ClusterId: promise.ClusterID[:], Generation: promise.Generation, StartLine: promise.StartLine, Members: members, Coordinator: f.selfNode(),
	}) {
		switch {
		case a.err != nil:
			problems = append(problems, fmt.Sprintf("%s does not answer: %v", a.addr, a.err))
		case !a.resp.GetGranted():
			problems = append(problems, fmt.Sprintf("%s (%s) does not promise: %s", a.addr, a.resp.GetNode(), a.resp.GetReason()))
		}
	}
	if len(problems) > 0 {
		f.wait(problems...)
		return false, nil
	}
	if err := f.cfg.Replica.Bootstrap(promise.voters()); err != nil {
		return false, halt.Wrap(halt.Log, "first configuration", err)
	}
	f.cfg.Logger.Info("cluster founded", "cluster", promise.ClusterID.String(), "voters", promise.voters())
	return true, MarkStarted(f.cfg.Store)
}

// promiseOurselves returns our own promise, made durable: the one that we have
// if nobody promised himself to a newer cluster meanwhile, else a new one.
func (f *Founder) promiseOurselves(ctx context.Context, answers []answer) (*Promise, error) {
	s := f.cfg.Store.State()
	keep := s.Promise != nil && slices.Equal(s.Promise.StartLine, f.cfg.StartLine) && s.Promise.Coordinator == f.cfg.Self
	floor, ids := s.floor(), map[string]string{f.cfg.Self.Peer: f.cfg.Self.ID}
	for _, a := range answers {
		ids[a.addr] = a.resp.GetNode()
		if id := a.clusterID(); id.Compare(floor) > 0 {
			floor, keep = id, false
		}
	}
	next := &Promise{StartLine: f.cfg.StartLine, Coordinator: f.cfg.Self}
	for _, addr := range f.cfg.StartLine {
		next.Members = append(next.Members, Address{ID: ids[addr], Peer: addr})
	}
	if keep {
		next.ClusterID, next.Generation = s.Promise.ClusterID, s.Promise.Generation
	} else {
		id, err := mintClusterID(time.Now(), floor)
		if err != nil {
			return nil, err
		}
		next.ClusterID, next.Generation = id, uint64(max(time.Now().Unix(), 1))
	}
	if !f.lockPromise(ctx) {
		return nil, ctx.Err()
	}
	defer f.unlockPromise()
	return next, f.promise(ctx, next)
}

// promise makes next durable, in place of what was promised before. The caller
// has lockPromise.
func (f *Founder) promise(ctx context.Context, next *Promise) error {
	return f.change(ctx, next.ClusterID, func() error {
		if f.cfg.Replica.HasState() {
			return errHasState
		}
		return f.cfg.Store.Update(func(s *State) error {
			switch {
			case !s.ClusterID.IsZero():
				return fmt.Errorf("belongs to cluster %s", s.ClusterID.Short())
			case s.Promise != nil && s.Promise.ClusterID == next.ClusterID:
			case next.ClusterID.Compare(s.floor()) <= 0:
				return fmt.Errorf("cluster %s is older than %s, which it promised itself to", next.ClusterID.Short(), s.floor().Short())
			case s.Promise != nil:
				s.refuse(s.Promise.ClusterID)
			}
			s.Promise = next.clone()
			s.learn(next.Members...)
			return nil
		})
	})
}
