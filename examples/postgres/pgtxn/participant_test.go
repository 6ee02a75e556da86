// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package pgtxn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/examples/postgres/internal/pgtest"
)

var (
	server  *pgtest.Server
	missing error // why there is no server
)

func TestMain(m *testing.M) {
	if server, missing = pgtest.Start(context.Background(), "max_prepared_transactions=20", "fsync=off"); missing != nil {
		fmt.Fprintln(os.Stderr, missing)
		if !errors.Is(missing, pgtest.ErrMissing) {
			os.Exit(1)
		}
	}
	code := m.Run()
	if server != nil {
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// fixture is a database of its own and a cluster that says what it is told to.
type fixture struct {
	*Participant
	pool *pgxpool.Pool
	txns map[string]hawser.TxnInfo
}

// prepareDatabase makes a database for a test, in which t counts.
func prepareDatabase(t *testing.T) *fixture {
	t.Helper()
	if missing != nil {
		t.Skip("SKIPPED: ", missing)
	}
	name := strings.ToLower(strings.NewReplacer("/", "_").Replace(t.Name()))
	admin, err := pgx.Connect(t.Context(), server.DSN)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	if err := admin.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), strings.Replace(server.DSN, "dbname=postgres", "dbname="+name, 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		discard(t, pool)
		pool.Close()
	})
	f := &fixture{pool: pool, txns: map[string]hawser.TxnInfo{}}
	f.Participant = f.participant(self)
	if err := f.check(t.Context()); err == nil {
		t.Error("a database that was not set up passes the check")
	}
	for range 2 { // it is idempotent
		if err := Setup(t.Context(), pool); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.check(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.exec(t, "CREATE TABLE numbers (n bigint)")
	f.exec(t, "INSERT INTO numbers VALUES (0)")
	return f
}

// discard rolls back what a test leaves prepared: names are unique in the whole
// server.
func discard(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	rows, err := pool.Query(context.Background(), "SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts WHERE database = current_database()")
	if err != nil {
		t.Fatal(err)
	}
	commands, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, command := range commands {
		_, failed := pool.Exec(context.Background(), command)
		err = errors.Join(err, failed)
	}
	if err != nil {
		t.Error(err)
	}
}

func (f *fixture) participant(o owner) *Participant {
	return &Participant{
		database: database{pool: f.pool, lockTimeout: 100 * time.Millisecond, idleTimeout: 5 * time.Second},
		cfg:      Config{Work: count, Logger: slog.New(slog.DiscardHandler)}, owner: o, turn: make(chan struct{}, 1),
		ask: func(_ context.Context, id hawser.PreparedID) (hawser.TxnInfo, error) {
			if info, ok := f.txns[id.Txn]; ok {
				return info, nil
			}
			return hawser.TxnInfo{}, hawser.ErrNotFound
		},
	}
}

func count(ctx context.Context, tx pgx.Tx, req client.TxnRequest) ([]byte, error) {
	_, err := tx.Exec(ctx, "UPDATE numbers SET n = n + 1")
	return []byte("next"), err
}

func (f *fixture) exec(t *testing.T, sql string) {
	t.Helper()
	if _, err := f.pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// wants compares the number and what is prepared.
func (f *fixture) wants(t *testing.T, n int, names ...string) {
	t.Helper()
	var got int
	if err := f.pool.QueryRow(t.Context(), "SELECT n FROM numbers").Scan(&got); err != nil {
		t.Fatal(err)
	}
	rows, err := f.pool.Query(t.Context(), "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()")
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(prepared)
	slices.Sort(names)
	if got != n || !slices.Equal(prepared, names) {
		t.Errorf("%d was counted and %q is prepared, want %d and %q", got, prepared, n, names)
	}
}

func (f *fixture) pend(txn string) client.TxnRequest {
	f.txns[txn] = stands(hawser.TxnPending, hawser.VoteNone, 0)
	return client.TxnRequest{ID: hawser.TxnID{Namespace: "default", ID: txn}, Prepared: self.name(txn, self.epoch)}
}

// Claim: what was prepared is committed or rolled back as decided, however often
// that is asked for, and an id is done once, also when the cluster has forgotten
// it.
func TestParticipant_FinishesOnce(t *testing.T) {
	f := prepareDatabase(t)
	for i, state := range []hawser.TxnState{hawser.TxnCommitted, hawser.TxnAborted} {
		req := f.pend(fmt.Sprint("t", i))
		next, err := f.Prepare(t.Context(), req)
		if err != nil || string(next) != "next" {
			t.Fatalf("%q %v", next, err)
		}
		f.wants(t, i, req.Prepared.String())
		if err := f.Rollback(t.Context(), req.ID); err == nil {
			t.Error("rolls back what is not decided")
		}
		f.txns[req.ID.ID] = stands(state, hawser.VoteYes, self.epoch)
		if _, err := f.Prepare(t.Context(), req); err == nil {
			t.Error("prepares what is decided")
		}
		for range 2 {
			if state == hawser.TxnCommitted {
				err = f.Commit(t.Context(), req.ID, 1)
			} else {
				err = f.Rollback(t.Context(), req.ID)
			}
			if err != nil {
				t.Fatal(err)
			}
			f.wants(t, 1)
		}
	}
	if _, err := f.Prepare(t.Context(), f.pend("t0")); err == nil || !strings.Contains(err.Error(), "votes no") {
		t.Errorf("an id that was done is prepared again: %v", err)
	}
	if _, err := f.Prepare(t.Context(), f.pend("t1")); err != nil {
		t.Errorf("an id that was aborted and begun again: %v", err)
	}
}

// Claim: preparing again under the same name replaces what an attempt before has
// prepared, unless the agent has voted.
func TestParticipant_PreparesAgain(t *testing.T) {
	f := prepareDatabase(t)
	req := f.pend("t")
	for range 3 {
		if _, err := f.Prepare(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	f.txns["t"] = stands(hawser.TxnPending, hawser.VoteYes, self.epoch)
	if _, err := f.Prepare(t.Context(), req); err == nil {
		t.Error("prepares again after the vote")
	}
	f.wants(t, 0, req.Prepared.String())
	f.txns["t"] = stands(hawser.TxnCommitted, hawser.VoteYes, self.epoch)
	if err := f.Commit(t.Context(), req.ID, 1); err != nil {
		t.Fatal(err)
	}
	f.wants(t, 1)
}

// Claim: nothing is prepared of work that fails, votes no, or hides that one of
// its statements has failed; and what an owner before has left locked is no
// obstacle.
func TestParticipant_PreparesNothingOfWhatFails(t *testing.T) {
	f := prepareDatabase(t)
	before := f.participant(owner{self.cluster, self.agent, self.generation, self.epoch - 1})
	old := f.pend("t")
	old.Prepared = self.name("t", self.epoch-1)
	if _, err := before.Prepare(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	for name, work := range map[string]Work{
		"error": func(context.Context, pgx.Tx, client.TxnRequest) ([]byte, error) { return nil, errors.New("no") },
		"hidden": func(ctx context.Context, tx pgx.Tx, _ client.TxnRequest) ([]byte, error) {
			_, _ = tx.Exec(ctx, "SELECT 1/0")
			return []byte("next"), nil
		},
	} {
		f.cfg.Work = work
		if _, err := f.Prepare(t.Context(), f.pend("t")); err == nil {
			t.Errorf("%s: is prepared", name)
		}
		f.wants(t, 0)
	}
	if _, err := before.Prepare(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	f.cfg.Work = count
	if _, err := f.Prepare(t.Context(), f.pend("t")); err != nil {
		t.Fatal(err)
	}
	f.wants(t, 0, self.name("t", self.epoch).String())
	if _, err := before.Recover(t.Context()); err != nil { // who was succeeded leaves it alone
		t.Fatal(err)
	}
	f.wants(t, 0, self.name("t", self.epoch).String())
}

// Claim: recovering commits and rolls back what is the agent's, of this
// generation and decided or void, reports what is in doubt, and touches nothing
// else.
func TestRecover_FinishesWhatIsLeftOver(t *testing.T) {
	f := prepareDatabase(t)
	elsewhere, past := self, self
	elsewhere.cluster[0]++
	past.generation--
	yours := self
	yours.agent = other
	f.txns["committed"] = stands(hawser.TxnCommitted, hawser.VoteYes, 3)
	f.txns["aborted"] = stands(hawser.TxnAborted, hawser.VoteYes, 5)
	f.txns["open"] = stands(hawser.TxnPending, hawser.VoteYes, 4)
	want := Report{
		Committed:  []hawser.PreparedID{self.name("committed", 3)},
		RolledBack: []hawser.PreparedID{self.name("aborted", 5), self.name("committed", 4), self.name("unknown", 5), self.name("open", 3)},
		Pending:    []hawser.PreparedID{self.name("open", 4), self.name("aborted", 6)},
		InDoubt:    []hawser.PreparedID{past.name("committed", 3)},
	}
	foreign := []string{elsewhere.name("aborted", 5).String(), yours.name("aborted", 5).String(), "hawser:and more", "somebody's"}
	var names []string
	for _, ids := range [][]hawser.PreparedID{want.Committed, want.RolledBack, want.Pending, want.InDoubt} {
		for _, id := range ids {
			names = append(names, id.String())
		}
	}
	for _, name := range append(names, foreign...) {
		literal := "'" + strings.ReplaceAll(name, "'", "''") + "'"
		f.exec(t, "BEGIN; INSERT INTO hawser_transactions VALUES ('x', 'x', "+literal+"); PREPARE TRANSACTION "+literal)
	}
	got, err := f.Recover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("reports %v\nwant    %v", got, want)
	}
	left := slices.Clone(foreign)
	for _, id := range append(want.Pending, want.InDoubt...) {
		left = append(left, id.String())
	}
	f.wants(t, 0, left...)
	var done string
	if err := f.pool.QueryRow(t.Context(), "SELECT string_agg(txn, ',') FROM hawser_transactions").Scan(&done); err != nil || done != self.name("committed", 3).String() {
		t.Errorf("%q was done: %v", done, err)
	}
}

// Claim: a commit that was rolled back by hand is found out and never said to be
// done.
func TestCommit_NoticesWhatWasLost(t *testing.T) {
	f := prepareDatabase(t)
	req := f.pend("t")
	if _, err := f.Prepare(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	f.exec(t, "ROLLBACK PREPARED '"+req.Prepared.String()+"'")
	f.txns["t"] = stands(hawser.TxnCommitted, hawser.VoteYes, self.epoch)
	if err := f.Commit(t.Context(), req.ID, 1); err == nil {
		t.Error("what was rolled back is said to be committed")
	}
}
