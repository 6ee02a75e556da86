// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package pgtxn

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

// SQLSTATEs that PostgreSQL's manual lists in its appendix A.
const (
	codeUndefinedObject = "42704"
	codeUniqueViolation = "23505"
)

// setupLock keeps two processes from creating the table at once, which CREATE
// TABLE IF NOT EXISTS does not.
const setupLock = 0x686177736572 // "hawser"

// Setup creates the table hawser_transactions in the first schema of the search
// path, unless it is there.
func Setup(ctx context.Context, pool *pgxpool.Pool) error {
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(setupLock)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS hawser_transactions (
			cluster text NOT NULL,
			agent text NOT NULL,
			txn text NOT NULL,
			prepared_at timestamptz NOT NULL DEFAULT now(),
			PRIMARY KEY (cluster, agent, txn)
		)`)
		return err
	})
	if err != nil {
		return fmt.Errorf("pgtxn: set up: %w", err)
	}
	return nil
}

// database does what is to be done in PostgreSQL.
type database struct {
	pool                     *pgxpool.Pool
	lockTimeout, idleTimeout time.Duration
}

// check returns an error unless transactions can be prepared.
func (d database) check(ctx context.Context) error {
	var most string
	var there bool
	err := d.pool.QueryRow(ctx, "SELECT current_setting('max_prepared_transactions'), to_regclass('hawser_transactions') IS NOT NULL").Scan(&most, &there)
	switch {
	case err != nil:
		return fmt.Errorf("pgtxn: look at the database: %w", err)
	case most == "0":
		return errors.New("pgtxn: PostgreSQL prepares no transactions: set max_prepared_transactions to what all participants need at once, and restart it")
	case !there:
		return errors.New("pgtxn: there is no table hawser_transactions: call Setup once")
	}
	return nil
}

// rollbackTimeout bounds the end of a transaction that failed. The connection is
// closed if it does not suffice.
const rollbackTimeout = 2 * time.Second

// prepare runs the work and prepares the transaction.
func (d database) prepare(ctx context.Context, work Work, req client.TxnRequest) (next []byte, err error) {
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("pgtxn: connect: %w", err)
	}
	defer conn.Release() // closes a connection that is within a transaction
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("pgtxn: begin: %w", err)
	}
	if next, err = d.perform(ctx, tx, work, req); err != nil {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_ = tx.Rollback(ending) // the connection is closed if it fails
		return nil, err
	}
	tag, err := conn.Exec(ctx, "PREPARE TRANSACTION "+quote(req.Prepared))
	if err != nil {
		return nil, fmt.Errorf("pgtxn: prepare %s: %w", req.Prepared, err)
	}
	// Of a transaction that has failed, PostgreSQL makes a ROLLBACK, and no error.
	if tag.String() != "PREPARE TRANSACTION" {
		return nil, fmt.Errorf("pgtxn: prepare %s: PostgreSQL has answered %s: a statement of the work failed, or the work has ended the transaction", req.Prepared, tag)
	}
	return next, nil
}

// perform does the work and leaves a mark of it.
func (d database) perform(ctx context.Context, tx pgx.Tx, work Work, req client.TxnRequest) ([]byte, error) {
	if _, err := tx.Exec(ctx, "SELECT set_config('lock_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $2, true)",
		milliseconds(d.lockTimeout), milliseconds(d.idleTimeout)); err != nil {
		return nil, fmt.Errorf("pgtxn: begin: %w", err)
	}
	id := req.Prepared
	_, err := tx.Exec(ctx, "INSERT INTO hawser_transactions (cluster, agent, txn) VALUES ($1, $2, $3)", id.Cluster, id.Agent, id.Txn)
	if hasCode(err, codeUniqueViolation) {
		return nil, client.VoteNo("PostgreSQL has done a transaction of this id before")
	}
	if err != nil {
		return nil, fmt.Errorf("pgtxn: mark the transaction: %w", err)
	}
	return work(ctx, tx, req)
}

func milliseconds(d time.Duration) string {
	return strconv.FormatInt(max(d.Milliseconds(), 1), 10)
}

// prepared lists what is prepared for an agent, the oldest first.
func (d database) prepared(ctx context.Context, o owner) ([]hawser.PreparedID, error) {
	rows, err := d.pool.Query(ctx, "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() AND starts_with(gid, 'hawser:') ORDER BY prepared, gid")
	if err != nil {
		return nil, fmt.Errorf("pgtxn: look for what is prepared: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("pgtxn: look for what is prepared: %w", err)
	}
	var found []hawser.PreparedID
	for _, name := range names {
		// What does not parse is somebody else's.
		if id, err := hawser.ParsePreparedID(name); err == nil && id.Of(o.cluster, o.agent) {
			found = append(found, id)
		}
	}
	return found, nil
}

// commit commits what is prepared; what is gone is no error.
func (d database) commit(ctx context.Context, id hawser.PreparedID) error {
	return d.finishPrepared(ctx, "COMMIT PREPARED ", id)
}

// rollback is commit's opposite.
func (d database) rollback(ctx context.Context, id hawser.PreparedID) error {
	return d.finishPrepared(ctx, "ROLLBACK PREPARED ", id)
}

func (d database) finishPrepared(ctx context.Context, what string, id hawser.PreparedID) error {
	_, err := d.pool.Exec(ctx, what+quote(id))
	if err != nil && !hasCode(err, codeUndefinedObject) {
		return fmt.Errorf("pgtxn: %s%s: %w", strings.ToLower(what), id, err)
	}
	return nil
}

// done reports whether an agent's part of a transaction was committed.
func (d database) done(ctx context.Context, o owner, txn hawser.TxnID) (done bool, err error) {
	id := hawser.NewPreparedID(o.cluster, o.generation, txn, o.agent, o.epoch)
	err = d.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM hawser_transactions WHERE cluster = $1 AND agent = $2 AND txn = $3)",
		id.Cluster, id.Agent, id.Txn).Scan(&done)
	if err != nil {
		return false, fmt.Errorf("pgtxn: look whether transaction %s was done: %w", txn, err)
	}
	return done, nil
}

// quote returns a name as a literal of SQL, where PostgreSQL takes no parameter.
func quote(id hawser.PreparedID) string {
	return "'" + strings.ReplaceAll(id.String(), "'", "''") + "'"
}

func hasCode(err error, code string) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == code
}
