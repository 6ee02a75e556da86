// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Postgres moves money between a table in PostgreSQL and the state of an agent,
// both or neither, whoever is killed. README.md says what to type.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

const usage = `usage:
  postgres setup                        make the tables, and an account alice with 1000
  postgres wallet WALLET                own a wallet and take part for it, until Ctrl-C
  postgres move WALLET ACCOUNT AMOUNT   from the account to the wallet; a negative amount goes back
  postgres show WALLET                  what there is, and what is under way

HAWSER_ENDPOINTS names the cluster (default ` + client.DefaultEndpoint + `), DATABASE_URL or the
variables of libpq (PGHOST, ...) the database`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer pool.Close()
	c, err := client.Dial(client.Config{Endpoints: strings.Split(cmp.Or(os.Getenv("HAWSER_ENDPOINTS"), client.DefaultEndpoint), ",")})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	switch command, args := args[0], args[1:]; {
	case command == "setup" && len(args) == 0:
		return setup(ctx, pool)
	case command == "wallet" && len(args) == 1:
		return serve(ctx, c, pool, args[0], slog.New(slog.NewTextHandler(os.Stderr, nil)))
	case command == "move" && len(args) == 3:
		return move(ctx, c, args[0], args[1], args[2])
	case command == "show" && len(args) == 1:
		return show(ctx, c, pool, args[0])
	}
	return errors.New(usage)
}

func move(ctx context.Context, c *client.Client, wallet, account, amount string) error {
	n, err := strconv.ParseInt(amount, 10, 64)
	if err != nil {
		return err
	}
	info, err := c.Transact(ctx, client.Txn{Participants: []client.TxnTask{transfer{Account: account, Amount: n}.task(wallet)}})
	if err != nil {
		return err
	}
	fmt.Printf("%s %s: version %d of %s\n", info.ID, info.State, info.Participants[0].Version, wallet)
	return nil
}

func show(ctx context.Context, c *client.Client, pool *pgxpool.Pool, name string) error {
	state, err := client.RestoreJSON[wallet](ctx, c.Agent(name))
	if err != nil && !errors.Is(err, hawser.ErrNotFound) {
		return err
	}
	fmt.Printf("wallet %s: %d\n", name, state.Balance)
	rows, err := pool.Query(ctx, "SELECT name, balance FROM accounts ORDER BY name")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var account string
		var balance int64
		if err := rows.Scan(&account, &balance); err != nil {
			return err
		}
		fmt.Printf("account %s: %d\n", account, balance)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for t, err := range c.Txns(ctx) {
		if err != nil {
			return err
		}
		fmt.Printf("transaction %s: %s, done: %t\n", t.ID, t.State, t.Done)
	}
	return nil
}
