// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/peerpb"
)

// Grant answers the Promise call of the node caller, by its authenticated
// ServerID. A request without members only asks who we are. A refusal is an
// answer, with its reason; an error is a *halt.Error: the promise could not be
// made durable, and the node must stop.
func (f *Founder) Grant(ctx context.Context, req *peerpb.PromiseRequest, caller string) (*peerpb.PromiseResponse, error) {
	resp := &peerpb.PromiseResponse{}
	if len(req.GetMembers()) > 0 {
		err := f.consider(ctx, req, caller)
		if _, stop := errors.AsType[*halt.Error](err); stop {
			return nil, err
		}
		resp.Granted = err == nil
		if err != nil {
			resp.Reason = err.Error()
		}
	}
	s := f.cfg.Store.State()
	id, _ := s.Identity()
	resp.Node, resp.StartLine = f.cfg.Self.ID, f.cfg.StartLine
	resp.HasState = f.belongs(s)
	if !id.IsZero() {
		resp.ClusterId = id[:]
	}
	return resp, nil
}

// belongs reports whether the node may not promise anything any more.
func (f *Founder) belongs(s State) bool { return !s.ClusterID.IsZero() || f.cfg.Replica.HasState() }

// consider returns nil when the promise is made, else why not.
func (f *Founder) consider(ctx context.Context, req *peerpb.PromiseRequest, caller string) error {
	next, err := f.asked(req, caller)
	if err != nil {
		return err
	}
	if !f.lockPromise(ctx) {
		return errors.New("busy with another promise")
	}
	defer f.unlockPromise()
	s := f.cfg.Store.State()
	switch {
	case f.belongs(s):
		return errors.New("has raft state of a cluster")
	case s.Promise != nil && s.Promise.equal(next):
		return nil
	case s.refuses(next.ClusterID), next.ClusterID.Compare(s.floor()) < 0:
		return fmt.Errorf("promised itself to the newer cluster %s and refuses %s since", s.floor().Short(), next.ClusterID.Short())
	}
	if err := f.dialBack(ctx, next); err != nil {
		return err
	}
	if err := f.promise(ctx, next); err != nil {
		return err
	}
	f.cfg.Logger.Info("promised to found a cluster", "cluster", next.ClusterID.String(), "coordinator", next.Coordinator.ID)
	return nil
}

// asked returns the promise that req asks for, if it is one that this node,
// started as it was, can give at all.
func (f *Founder) asked(req *peerpb.PromiseRequest, caller string) (*Promise, error) {
	next, err := promiseFrom(req)
	self := f.cfg.Self
	switch {
	case err != nil:
		return nil, err
	case len(f.cfg.StartLine) == 0:
		return nil, errors.New("was started without --bootstrap-expect")
	case !slices.Equal(next.StartLine, f.cfg.StartLine):
		return nil, fmt.Errorf("was started with other addresses: %s", f.cfg.StartLine)
	case next.Coordinator.ID != caller:
		return nil, fmt.Errorf("asked by %s in the name of coordinator %s", caller, next.Coordinator.ID)
	case next.Coordinator.Peer == self.Peer:
		return nil, errors.New("coordinates itself")
	case !slices.Contains(next.Members, self):
		return nil, fmt.Errorf("is not among the members as %s at %s", self.ID, self.Peer)
	}
	return next, nil
}

func promiseFrom(req *peerpb.PromiseRequest) (*Promise, error) {
	if len(req.GetMembers()) > MaxFounders || len(req.GetStartLine()) > MaxFounders {
		return nil, fmt.Errorf("more than %d founders", MaxFounders)
	}
	p := &Promise{Generation: req.GetGeneration(), StartLine: req.GetStartLine()}
	p.ClusterID, _ = clusterIDFrom(req.GetClusterId())
	for _, m := range req.GetMembers() {
		p.Members = append(p.Members, Address{ID: m.GetId(), Peer: m.GetPeerAddress()})
	}
	p.Coordinator = Address{ID: req.GetCoordinator().GetId(), Peer: req.GetCoordinator().GetPeerAddress()}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("malformed request: %w", err)
	}
	return p.clone(), nil
}

// dialBack makes sure that the coordinator's address is answered by the node
// that asks, and that it durably promised the same itself. An older request
// that was delayed, and a coordinator that nobody reaches, fail here.
func (f *Founder) dialBack(ctx context.Context, next *Promise) error {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.AttemptTimeout)
	defer cancel()
	at := next.Coordinator.Peer
	resp, err := f.cfg.Dialer.Promise(ctx, at, &peerpb.PromiseRequest{StartLine: f.cfg.StartLine, Coordinator: f.selfNode()})
	if err != nil {
		return fmt.Errorf("cannot reach the coordinator at %s: %w", at, err)
	}
	id, _ := clusterIDFrom(resp.GetClusterId())
	switch {
	case resp.GetNode() != next.Coordinator.ID:
		return fmt.Errorf("at %s answers %s, not the coordinator %s", at, resp.GetNode(), next.Coordinator.ID)
	case id != next.ClusterID:
		return fmt.Errorf("coordinator %s itself has not promised cluster %s", resp.GetNode(), next.ClusterID.Short())
	case resp.GetHasState():
		return fmt.Errorf("coordinator %s founded the cluster without this promise", resp.GetNode())
	}
	return nil
}
