// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/examples/postgres/pgtxn"
)

// wallet is an agent's state.
type wallet struct {
	Balance int64 `json:"balance"`
}

// transfer is what a wallet is asked for: take so much from the account, or, if it
// is negative, pay so much to it.
type transfer struct {
	Account string `json:"account"`
	Amount  int64  `json:"amount"`
}

func (x transfer) task(wallet string) client.TxnTask {
	payload, err := json.Marshal(x)
	if err != nil {
		panic(err) // a string and a number
	}
	return client.TxnTask{Agent: wallet, Payload: payload}
}

// setup makes the tables, and an account with something to move.
func setup(ctx context.Context, pool *pgxpool.Pool) error {
	if err := pgtxn.Setup(ctx, pool); err != nil {
		return err
	}
	_, err := pool.Exec(ctx, `
		CREATE TABLE IF NOT EXISTS accounts (name text PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0));
		INSERT INTO accounts VALUES ('alice', 1000) ON CONFLICT DO NOTHING`)
	return err
}

// ttl is how long a wallet that was killed is nobody's.
const ttl = 2 * time.Second

// serve owns a wallet and takes part for it, again and again until ctx ends:
// after a pause or a lost connection it waits for its turn to own the wallet like
// everybody else.
func serve(ctx context.Context, c *client.Client, pool *pgxpool.Pool, name string, logger *slog.Logger) error {
	for ctx.Err() == nil {
		claim, err := c.Agent(name).Claim(ctx, client.TTL(ttl))
		if err == nil {
			logger.Info("owns the wallet", "wallet", name, "fence", claim.Fence())
			err = attend(ctx, c, pool, claim, logger)
			if ctx.Err() == nil {
				logger.Warn("goes on", "wallet", name, "error", err)
			}
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			_ = claim.Release(ending) // it ends by itself a little later
			cancel()
		}
		select {
		case <-time.After(100 * time.Millisecond): // what failed at once may do so again
		case <-ctx.Done():
		}
	}
	return context.Cause(ctx)
}

func attend(ctx context.Context, c *client.Client, pool *pgxpool.Pool, claim *client.Claim, logger *slog.Logger) error {
	name := claim.Agent().ID().Name
	p, err := pgtxn.New(ctx, pgtxn.Config{
		Client: c, Claim: claim, Pool: pool, Logger: logger,
		Work: func(ctx context.Context, tx pgx.Tx, req client.TxnRequest) ([]byte, error) {
			return work(ctx, c.Agent(name), tx, req)
		},
	})
	if err != nil {
		return err
	}
	return p.Participate(ctx)
}

// work changes the account, and returns what becomes of the wallet.
func work(ctx context.Context, agent *client.Agent, tx pgx.Tx, req client.TxnRequest) ([]byte, error) {
	var x transfer
	if err := json.Unmarshal(req.Payload, &x); err != nil {
		return nil, client.VoteNo(err.Error())
	}
	var w wallet
	if req.Head > 0 {
		var err error
		if w, err = client.RestoreJSON[wallet](ctx, agent, client.AtVersion(req.Head)); err != nil {
			return nil, err
		}
	}
	if w.Balance += x.Amount; w.Balance < 0 {
		return nil, client.VoteNo("the wallet has not so much")
	}
	tag, err := tx.Exec(ctx, "UPDATE accounts SET balance = balance - $2 WHERE name = $1", x.Account, x.Amount)
	const checkViolation = "23514"
	if failed, ok := errors.AsType[*pgconn.PgError](err); ok && failed.Code == checkViolation {
		return nil, client.VoteNo("the account has not so much")
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("change account %q: %w", x.Account, err)
	case tag.RowsAffected() == 0:
		return nil, client.VoteNo(fmt.Sprintf("there is no account %q", x.Account))
	}
	return json.Marshal(w)
}
