// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"

	"github.com/hawserdb/hawser/internal/peerpb"
)

// proc is its founder's Store ...

func (p *proc) State() State { return p.d.state.clone() }

func (p *proc) Update(change func(*State) error) error {
	if p.s.here(p); p.crashed {
		return errCrashed
	}
	next := p.d.state.clone()
	if err := change(&next); err != nil {
		return err
	}
	if err := next.check(); err != nil {
		p.s.fail("%s writes a bad state: %v", p.d.id, err)
	}
	before, _ := p.d.state.Identity()
	after, _ := next.Identity()
	if !after.IsZero() && p.d.state.refuses(after) {
		p.s.fail("%s goes back to %s", p.d.id, after.Short())
	}
	if before != after && !p.d.raft.IsZero() {
		p.s.fail("%s has raft state under %s and leaves it for %s", p.d.id, before.Short(), after.Short())
	}
	p.d.state = next
	p.s.here(p)
	if p.crashed {
		return errCrashed
	}
	return nil
}

// ... its Replica ...

func (p *proc) HasState() bool { return !p.d.raft.IsZero() }

func (p *proc) Quiesce(context.Context) (func(), error) {
	p.quiesced++
	p.s.here(p)
	return func() { p.quiesced-- }, nil
}

func (p *proc) Bootstrap(voters []string) error {
	if p.s.here(p); p.crashed {
		return errCrashed
	}
	x := p.identity()
	if conf, founded := p.s.confs[x]; founded {
		p.s.fail("%s founds %s again: %v", p.d.id, x.Short(), conf)
	}
	p.s.note("%s founds %s with %v", p.d.id, x.Short(), voters)
	p.d.raft, p.d.conf = x, voters
	p.s.confs[x], p.s.lines[x] = voters, p.f.cfg.StartLine.String()
	p.s.here(p)
	if p.crashed {
		return errCrashed
	}
	return nil
}

// ... and its Dialer.

func (p *proc) call(addr string) (*proc, error) {
	if p.s.here(p); p.crashed {
		return nil, errCrashed
	}
	to := p.s.at[addr]
	switch {
	case to == nil || !p.s.reaches(p, to):
		return nil, errors.New("connection refused")
	case to.granting:
		return nil, context.DeadlineExceeded // stopped in the middle of another promise
	}
	return to, nil
}

func (p *proc) Promise(ctx context.Context, addr string, req *peerpb.PromiseRequest) (*peerpb.PromiseResponse, error) {
	to, err := p.call(addr)
	if err != nil {
		return nil, err
	}
	if len(req.GetMembers()) > 0 {
		if to.stepping && to.s.task != nil {
			return nil, context.DeadlineExceeded // it would wait for its own step, which is stopped
		}
		to.granting = true
	}
	resp, err := to.f.Grant(ctx, req, p.d.id)
	if len(req.GetMembers()) > 0 {
		to.granting = false
	}
	p.s.here(p)
	if p.crashed || to.crashed || err != nil || !p.s.reaches(p, to) {
		return nil, fmt.Errorf("no answer (%w)", errors.Join(err, errCrashed))
	}
	return resp, nil
}

func (p *proc) Join(_ context.Context, addr string, _ *peerpb.JoinRequest) (*peerpb.JoinResponse, error) {
	to, err := p.call(addr)
	if err != nil {
		return nil, err
	}
	x := to.d.raft
	if x.IsZero() || !p.s.elected[x] {
		return nil, errors.New("no leader is known here")
	}
	return &peerpb.JoinResponse{ClusterId: x[:], Generation: 1}, nil
}
