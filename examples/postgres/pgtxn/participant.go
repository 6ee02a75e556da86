// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package pgtxn

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

// Work does the agent's part of a transaction within one of PostgreSQL, and
// returns what the agent's state becomes, nil for as it is. It does not end the
// PostgreSQL transaction. client.VoteNo aborts the whole; after another error it
// is called again until the deadline, in a new PostgreSQL transaction.
type Work func(ctx context.Context, tx pgx.Tx, req client.TxnRequest) (next []byte, err error)

// Config says what a Participant needs.
type Config struct {
	// Client is of the agent's namespace and has made Claim. Required.
	Client *client.Client
	// Claim is the ownership of the agent under which it takes part. Required.
	Claim *client.Claim
	// Pool is of the database, which [Setup] has prepared. One connection is in
	// use at a time. Required.
	Pool *pgxpool.Pool
	// Work is required.
	Work Work
	// Every is the time from one look for what is left over to the next, 10 s if
	// it is 0.
	Every time.Duration
	// LockTimeout is how long Work waits for a lock before it fails and is
	// called again, 1 s if it is 0.
	LockTimeout time.Duration
	// IdleTimeout is how long PostgreSQL keeps the locks of a process that
	// stands still in the middle of Work, 5 s if it is 0. It has to be longer
	// than Work pauses between two statements.
	IdleTimeout time.Duration
	// Logger gets what was left over and how it was finished; nil for none.
	Logger *slog.Logger
}

func (c *Config) complete() error {
	if c.Client == nil || c.Claim == nil || c.Pool == nil || c.Work == nil {
		return errors.New("pgtxn: Config needs Client, Claim, Pool and Work")
	}
	if c.Every < 0 || c.LockTimeout < 0 || c.IdleTimeout < 0 {
		return errors.New("pgtxn: a time in Config is negative")
	}
	if c.Every == 0 {
		c.Every = 10 * time.Second
	}
	if c.LockTimeout == 0 {
		c.LockTimeout = time.Second
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = 5 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Participant takes part for one agent under one claim. Its methods may be called
// from any goroutine.
type Participant struct {
	database
	cfg   Config
	owner owner
	// ask tells how a transaction stands: client.Client.TxnOf.
	ask func(context.Context, hawser.PreparedID) (hawser.TxnInfo, error)
	// turn has capacity 1 and is full while a method works. So the answer to a
	// question about something prepared still holds when it is acted upon:
	// within this process nothing is prepared meanwhile, and others use names of
	// their own.
	turn chan struct{}
}

// New returns a Participant. It asks the cluster for its id, and PostgreSQL
// whether it can prepare transactions and was set up; errors say what is missing.
func New(ctx context.Context, cfg Config) (*Participant, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	db := database{pool: cfg.Pool, lockTimeout: cfg.LockTimeout, idleTimeout: cfg.IdleTimeout}
	if err := db.check(ctx); err != nil {
		return nil, err
	}
	o, err := ownerOf(ctx, cfg.Client, cfg.Claim)
	if err != nil {
		return nil, err
	}
	return &Participant{database: db, cfg: cfg, owner: o, ask: cfg.Client.TxnOf, turn: make(chan struct{}, 1)}, nil
}

// owner is whoever takes part.
type owner struct {
	cluster    [16]byte
	agent      hawser.AgentID
	generation hawser.Generation
	epoch      uint64
}

func ownerOf(ctx context.Context, c *client.Client, claim *client.Claim) (owner, error) {
	status, err := c.Cluster().Status(ctx)
	if err != nil {
		return owner{}, fmt.Errorf("pgtxn: ask for the cluster's id: %w", err)
	}
	o := owner{agent: claim.Agent().ID()}
	o.generation, o.epoch = hawser.SplitToken(claim.Fence().Token)
	id, err := hex.DecodeString(status.ClusterID)
	if err != nil || len(id) != len(o.cluster) {
		return owner{}, fmt.Errorf("pgtxn: the node that answered does not know its cluster's id yet (%q)", status.ClusterID)
	}
	copy(o.cluster[:], id)
	return o, nil
}

// Participate takes part in the agent's transactions, and finishes what was left
// over, until ctx or the claim ends; then it returns why, as
// client.Claim.Participate does.
func (p *Participant) Participate(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	group.Go(func() { p.keepRecovering(ctx) })
	return p.cfg.Claim.Participate(ctx, client.Participant{Prepare: p.Prepare, Commit: p.Commit, Rollback: p.Rollback})
}

// Prepare runs Work and prepares what it did under req.Prepared. It is the
// Prepare of a client.Participant. Something that an earlier attempt has prepared
// under the name is rolled back first, unless the agent has voted: then it counts,
// and Prepare fails.
func (p *Participant) Prepare(ctx context.Context, req client.TxnRequest) ([]byte, error) {
	if !p.owner.made(req.Prepared) {
		return nil, fmt.Errorf("pgtxn: %s is not of this claim", req.Prepared)
	}
	if err := p.enter(ctx); err != nil {
		return nil, err
	}
	defer p.leave()
	t, err := p.ask(ctx, req.Prepared)
	if err != nil {
		return nil, fmt.Errorf("pgtxn: ask how transaction %s stands: %w", req.ID, err)
	}
	if me := p.owner.part(t); t.State.Decided() || me == nil || me.Vote != hawser.VoteNone {
		return nil, fmt.Errorf("pgtxn: transaction %s does not wait for %s any more", req.ID, p.owner.agent)
	}
	// Whatever is left over of this agent's may hold locks that Work needs.
	left, err := p.finish(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, id := range left.Pending {
		if id == req.Prepared {
			if err := p.rollback(ctx, id); err != nil {
				return nil, err
			}
		}
	}
	return p.prepare(ctx, p.cfg.Work, req)
}

// Commit commits what was prepared under the epoch that the decision counts, and
// rolls back the rest. It is the Commit of a client.Participant, and idempotent.
// It fails if there is nothing to commit and it was not done before.
func (p *Participant) Commit(ctx context.Context, id hawser.TxnID, _ uint64) error {
	if err := p.end(ctx, id); err != nil {
		return err
	}
	done, err := p.done(ctx, p.owner, id)
	if err == nil && !done {
		err = fmt.Errorf("pgtxn: transaction %s is committed, but PostgreSQL has neither prepared nor done it: somebody has rolled it back, or the database is an older copy", id)
	}
	return err
}

// Rollback rolls back what was prepared for a transaction that is aborted. It is
// the Rollback of a client.Participant, and idempotent. If the transaction turns
// out to be committed it commits, and if it is not decided it fails.
func (p *Participant) Rollback(ctx context.Context, id hawser.TxnID) error { return p.end(ctx, id) }

// end finishes a transaction that is decided.
func (p *Participant) end(ctx context.Context, id hawser.TxnID) error {
	if err := p.enter(ctx); err != nil {
		return err
	}
	defer p.leave()
	r, err := p.finish(ctx, id.ID)
	if err != nil {
		return err
	}
	for _, left := range r.Pending {
		if left.Epoch <= p.owner.epoch {
			return fmt.Errorf("pgtxn: %s waits for a decision", left)
		}
	}
	return nil
}

func (p *Participant) enter(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *Participant) leave() { <-p.turn }

// made reports whether a name is what this owner prepares under.
func (o owner) made(id hawser.PreparedID) bool {
	return id.Of(o.cluster, o.agent) && id.Generation == o.generation && id.Epoch == o.epoch
}

// part is what the agent is in a transaction, nil if it takes no part.
func (o owner) part(t hawser.TxnInfo) *hawser.TxnParticipant {
	for i := range t.Participants {
		if t.Participants[i].Agent == o.agent {
			return &t.Participants[i]
		}
	}
	return nil
}
