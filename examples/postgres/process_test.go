// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

// roleVariable holds what a child process of the tests is, as JSON of role.
const roleVariable = "HAWSER_EXAMPLE_ROLE"

// role is what a child process does until it is killed, or its stdin ends.
type role struct {
	Endpoints []string
	DSN       string
	// Wallets are served; with Accounts, money is moved between them and those.
	Wallets, Accounts []string
	// Fault happens once.
	Fault fault
	// Txn, if it is set, is begun over the first wallet, and the process is
	// killed when it has to decide.
	Txn string
}

// fault is when a process dies or stands still: where a statement of SQL begins or
// has succeeded. Without SQL it is the test that does it, after the vote.
type fault struct {
	Signal syscall.Signal
	SQL    string
	End    bool
}

func (f fault) String() string {
	name := map[syscall.Signal]string{0: "nothing", syscall.SIGKILL: "killed", syscall.SIGSTOP: "frozen"}[f.Signal]
	switch {
	case f.SQL == "":
		return name + " after the vote"
	case f.End:
		return name + " after " + f.SQL
	}
	return name + " before " + f.SQL
}

// play is the main function of a child process.
func play(ctx context.Context, text string) error {
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return err
	}
	go func() { // until the process ends, which it does with its stdin
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	c, err := client.Dial(client.Config{Endpoints: r.Endpoints})
	if err != nil {
		return err
	}
	cfg, err := pgxpool.ParseConfig(r.DSN)
	if err != nil {
		return err
	}
	cfg.ConnConfig.Tracer = &saboteur{fault: r.Fault}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("pid", os.Getpid())
	switch {
	case r.Txn != "":
		group.Go(func() { dieDeciding(ctx, c, r) })
	case len(r.Accounts) > 0:
		for range r.Wallets {
			group.Go(func() { moveMoney(ctx, c, r) })
		}
	default:
		for _, name := range r.Wallets {
			group.Go(func() { _ = serve(ctx, c, pool, name, logger) })
		}
	}
	group.Wait()
	return nil
}

func dieDeciding(ctx context.Context, c *client.Client, r role) {
	_, err := c.Transact(ctx, client.Txn{
		ID: r.Txn, Participants: []client.TxnTask{transfer{Account: r.Wallets[0], Amount: 10}.task(r.Wallets[0])}, Timeout: 3 * time.Second,
		Decide: func(context.Context, hawser.TxnInfo) error {
			signalSelf(syscall.SIGKILL)
			return nil
		},
	})
	fmt.Fprintln(os.Stderr, "not killed: ", err)
}

// moveMoney begins random transfers, of one wallet or of two. Most are between a
// wallet and the account of its name: two wallets that want the same row wait for
// each other until a deadline.
func moveMoney(ctx context.Context, c *client.Client, r role) {
	for ctx.Err() == nil {
		w := rand.IntN(len(r.Wallets))
		a := w
		if rand.IntN(8) == 0 {
			a = rand.IntN(len(r.Accounts))
		}
		tasks := []client.TxnTask{transfer{r.Accounts[a], rand.Int64N(101) - 50}.task(r.Wallets[w])}
		if rand.IntN(3) == 0 {
			w, a = (w+1)%len(r.Wallets), (a+1)%len(r.Accounts)
			tasks = append(tasks, transfer{r.Accounts[a], rand.Int64N(101) - 50}.task(r.Wallets[w]))
		}
		_, err := c.Transact(ctx, client.Txn{Participants: tasks, Timeout: 5 * time.Second})
		if err != nil && !errors.Is(err, hawser.ErrTxnAborted) && !errors.Is(err, hawser.ErrOutcomeUnknown) && !errors.Is(err, hawser.ErrUnavailable) {
			fmt.Fprintln(os.Stderr, "a transfer: ", err)
		}
	}
}

// saboteur kills or stops its own process at a statement, once. It sees what pgx
// sends.
type saboteur struct {
	fault fault
	done  atomic.Bool
}

type statement struct{}

// TraceQueryStart implements pgx.QueryTracer.
func (s *saboteur) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	s.at(d.SQL, false)
	return context.WithValue(ctx, statement{}, d.SQL)
}

// TraceQueryEnd implements pgx.QueryTracer.
func (s *saboteur) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryEndData) {
	if sql, ok := ctx.Value(statement{}).(string); ok && d.Err == nil {
		s.at(sql, true)
	}
}

func (s *saboteur) at(sql string, end bool) {
	if f := s.fault; f.Signal != 0 && f.SQL != "" && f.End == end && strings.HasPrefix(sql, f.SQL) && s.done.CompareAndSwap(false, true) {
		signalSelf(f.Signal)
	}
}

// signalSelf returns when the process is continued after a stop.
func signalSelf(signal syscall.Signal) {
	_ = syscall.Kill(os.Getpid(), signal) // it is there
	time.Sleep(20 * time.Millisecond)     // the signal may come to another thread first
}

// process is a child.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{} // closed when it has ended
}

// start starts a child, which is killed when the test ends.
func (r *rig) start(t *testing.T, what role) *process {
	t.Helper()
	what.Endpoints, what.DSN = r.cluster.endpoints(), r.server.DSN
	text, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(os.Args[0]), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), roleVariable+"="+string(text))
	p.cmd.Stdout, p.cmd.Stderr = os.Stdout, io.Discard
	if testing.Verbose() {
		p.cmd.Stderr = os.Stderr
	}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the child, which the test kills
		_ = p.cmd.Wait() // how it ended does not matter
		close(p.done)
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // at most gone
	<-p.done
	_ = p.stdin.Close()
}

// signal may find the process gone.
func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// down reports whether the process has ended or stands still.
func (p *process) down() bool {
	select {
	case <-p.done:
		return true
	default:
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return false // it is being reaped
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "T")
}
