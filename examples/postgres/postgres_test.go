// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/examples/postgres/internal/pgtest"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(roleVariable); text != "" {
		if err := play(context.Background(), text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// rig is a PostgreSQL and a cluster of three nodes, all real processes, which the
// tests share. Each has wallets and accounts of its own.
type rig struct {
	once sync.Once
	err  error // why there is none

	dir     string
	server  *pgtest.Server
	cluster *cluster
	pool    *pgxpool.Pool
	client  *client.Client
}

var shared rig

// get starts it, once. The test is skipped where there is no PostgreSQL.
func get(t *testing.T) *rig {
	t.Helper()
	r := &shared
	r.once.Do(func() { r.err = r.open(context.Background()) })
	if errors.Is(r.err, pgtest.ErrMissing) {
		t.Skip("SKIPPED: ", r.err)
	}
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r
}

func (r *rig) open(ctx context.Context) (err error) {
	if r.server, err = pgtest.Start(ctx, "max_prepared_transactions=20"); err != nil {
		return err
	}
	if r.dir, err = os.MkdirTemp("", "hawser-example-"); err != nil {
		return err
	}
	if r.cluster, err = startCluster(ctx, r.dir); err != nil {
		return err
	}
	if r.pool, err = pgxpool.New(ctx, r.server.DSN); err != nil {
		return err
	}
	if r.client, err = client.Dial(client.Config{Endpoints: r.cluster.endpoints(), Instance: "judge"}); err != nil {
		return err
	}
	return setup(ctx, r.pool)
}

func (r *rig) stop() (err error) {
	if r.client != nil {
		err = r.client.Close()
	}
	if r.pool != nil {
		r.pool.Close()
	}
	if r.cluster != nil {
		err = errors.Join(err, r.cluster.stop())
	}
	if r.server != nil {
		err = errors.Join(err, r.server.Stop())
	}
	if r.dir != "" {
		err = errors.Join(err, os.RemoveAll(r.dir))
	}
	return err
}

// found is what a wallet and the account of its name begin with.
const found = 1000

func (r *rig) create(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := client.SaveJSON(t.Context(), r.client.Agent(name), wallet{found}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.pool.Exec(t.Context(), "INSERT INTO accounts VALUES ($1, $2)", name, found); err != nil {
			t.Fatal(err)
		}
	}
}

// balances returns what a wallet and an account have.
func (r *rig) balances(t *testing.T, name string) (inWallet, inAccount int64) {
	t.Helper()
	state, err := client.RestoreJSON[wallet](t.Context(), r.client.Agent(name))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.pool.QueryRow(t.Context(), "SELECT balance FROM accounts WHERE name = $1", name).Scan(&inAccount); err != nil {
		t.Fatal(err)
	}
	return state.Balance, inAccount
}

func (r *rig) want(t *testing.T, name string, moved int64) {
	t.Helper()
	if inWallet, inAccount := r.balances(t, name); inWallet != found+moved || inAccount != found-moved {
		t.Errorf("the wallet has %d and the account %d, want %d and %d", inWallet, inAccount, found+moved, found-moved)
	}
}

// prepared lists what is prepared in PostgreSQL, of some transactions or of all.
func (r *rig) prepared(t *testing.T, txns ...string) (names []string) {
	t.Helper()
	rows, err := r.pool.Query(t.Context(), "SELECT gid FROM pg_prepared_xacts")
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		id, err := hawser.ParsePreparedID(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(txns) == 0 || slices.Contains(txns, id.Txn) {
			names = append(names, name)
		}
	}
	return names
}

// settled waits until a transaction is done, and nothing of it prepared.
func (r *rig) settled(t *testing.T, txn string) {
	t.Helper()
	eventually(t, txn+" is done and nothing of it prepared", func() bool {
		info, err := r.client.Txn(t.Context(), txn)
		return (errors.Is(err, hawser.ErrNotFound) || err == nil && info.Done) && len(r.prepared(t, txn)) == 0
	})
}

// owned waits until somebody owns a wallet.
func (r *rig) owned(t *testing.T, name string) {
	t.Helper()
	eventually(t, name+" is owned", func() bool {
		owner, err := r.client.Agent(name).Owner(t.Context())
		return err == nil && len(owner.Holders) > 0
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// transact begins a transfer of 10 to the wallet from the account of its name.
func (r *rig) transact(t *testing.T, txn, name string, timeout time.Duration, decide func(context.Context, hawser.TxnInfo) error) error {
	t.Helper()
	_, err := r.client.Transact(t.Context(), client.Txn{
		ID: txn, Participants: []client.TxnTask{transfer{Account: name, Amount: 10}.task(name)}, Timeout: timeout, Decide: decide,
	})
	return err
}

// Claim: whenever the owner of a wallet dies or stands still in a transfer, the
// next owner brings it to its end, in both places or in neither; who stood still
// does no harm when it goes on, and works again when the wallet is its own again.
// Method: real processes and signals at the statements of SQL, and after the vote.
func TestTransfer_SurvivesItsOwner(t *testing.T) {
	const prepare, commit, rollback = "PREPARE TRANSACTION", "COMMIT PREPARED", "ROLLBACK PREPARED"
	r := get(t)
	number := 0
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		for _, f := range []fault{
			{signal, "begin", false},
			{signal, prepare, false},
			{signal, prepare, true},
			{signal, "", true},
			{signal, commit, false},
			{signal, commit, true},
			{signal, rollback, false},
			{signal, rollback, true},
		} {
			number++
			name := fmt.Sprint("wallet-", number)
			t.Run(f.String(), func(t *testing.T) {
				t.Parallel()
				r.survive(t, name, f, f.SQL == rollback)
			})
		}
	}
}

// survive has a fault happen to the owner in a transfer, which the initiator
// aborts if it is to.
func (r *rig) survive(t *testing.T, name string, f fault, abort bool) {
	t.Helper()
	r.create(t, name)
	first := r.start(t, role{Wallets: []string{name}, Fault: f})
	r.owned(t, name)
	var decide func(context.Context, hawser.TxnInfo) error
	if f.SQL == "" {
		decide = func(context.Context, hawser.TxnInfo) error {
			first.signal(f.Signal)
			eventually(t, "it is down", first.down)
			return nil
		}
	}
	if abort {
		decide = func(context.Context, hawser.TxnInfo) error { return errors.New("the initiator does not want to") }
	}
	txn := name + "-1"
	over := make(chan error, 1)
	go func() { over <- r.transact(t, txn, name, 30*time.Second, decide) }() // the test waits for it
	eventually(t, "the owner is down", first.down)
	second := r.start(t, role{Wallets: []string{name}})
	moved := int64(10)
	if err := <-over; abort != errors.Is(err, hawser.ErrTxnAborted) || !abort && err != nil {
		t.Fatalf("the transfer: %v", err)
	} else if abort {
		moved = 0
	}
	r.settled(t, txn)
	r.want(t, name, moved)
	if f.Signal == syscall.SIGSTOP { // it goes on where it was, and later owns the wallet again
		first.signal(syscall.SIGCONT)
		time.Sleep(200 * time.Millisecond) // time to do harm
		second.kill()
	}
	if err := r.transact(t, name+"-2", name, 30*time.Second, nil); err != nil {
		t.Fatal(err)
	}
	r.settled(t, name+"-2")
	r.want(t, name, moved+10)
	if left := r.prepared(t, txn, name+"-2"); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// Claim: what an owner that was killed has prepared is found and finished by the
// next one at its start: rolled back when the cluster has forgotten the
// transaction, committed when it was decided and an operator has resolved it.
func TestTransfer_OrphansAreFinished(t *testing.T) {
	r := get(t)
	for name, c := range map[string]struct {
		fault fault
		moved int64
	}{
		"forgotten": {fault{syscall.SIGKILL, "PREPARE TRANSACTION", true}, 0},
		"resolved":  {fault{syscall.SIGKILL, "COMMIT PREPARED", false}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r.create(t, name)
			first := r.start(t, role{Wallets: []string{name}, Fault: c.fault})
			r.owned(t, name)
			if err := r.transact(t, name+"-1", name, 3*time.Second, nil); err != nil && !errors.Is(err, hawser.ErrTxnAborted) {
				t.Fatal(err)
			}
			eventually(t, "it is killed", first.down)
			if len(r.prepared(t, name+"-1")) != 1 {
				t.Fatal("nothing is prepared")
			}
			eventually(t, "the transaction is over", func() bool {
				_, err := r.client.Txn(t.Context(), name+"-1")
				if err == nil && c.moved > 0 {
					info, err := r.client.ResolveTxn(t.Context(), name+"-1", name, "its owner is gone")
					return err == nil && info.Done
				}
				return errors.Is(err, hawser.ErrNotFound)
			})
			r.start(t, role{Wallets: []string{name}})
			eventually(t, "nothing is prepared", func() bool { return len(r.prepared(t, name+"-1")) == 0 })
			r.want(t, name, c.moved)
		})
	}
}

// Claim: a transfer whose initiator is killed before its decision is undone in both
// places at its deadline.
func TestTransfer_SurvivesItsInitiator(t *testing.T) {
	r := get(t)
	t.Parallel()
	const name = "initiated"
	r.create(t, name)
	r.start(t, role{Wallets: []string{name}})
	r.owned(t, name)
	initiator := r.start(t, role{Wallets: []string{name}, Txn: name + "-1"})
	eventually(t, "the initiator is killed", initiator.down)
	r.settled(t, name+"-1")
	r.want(t, name, 0)
}

// Claim: a transfer goes on when the leader of the cluster is killed between the
// vote and the decision.
func TestTransfer_SurvivesTheLeader(t *testing.T) {
	r := get(t)
	const name = "led"
	r.create(t, name)
	r.start(t, role{Wallets: []string{name}})
	r.owned(t, name)
	var killed *node
	if err := r.transact(t, name+"-1", name, 30*time.Second, func(ctx context.Context, _ hawser.TxnInfo) error {
		status, err := r.client.Cluster().Status(ctx)
		if err != nil {
			return err
		}
		if killed = r.cluster.at(status.LeaderAddress); killed == nil {
			return fmt.Errorf("no node is at %q", status.LeaderAddress)
		}
		return killed.kill()
	}); err != nil {
		t.Fatal(err)
	}
	r.settled(t, name+"-1")
	r.want(t, name, 10)
	if err := killed.start(r.cluster.program); err != nil {
		t.Fatal(err)
	}
	if err := killed.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
}
