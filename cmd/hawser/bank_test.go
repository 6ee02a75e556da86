// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

var (
	bankDuration = flag.Duration("bank.duration", 8*time.Second, "how long TestBank moves money and kills")
	bankRole     = flag.String("bank.role", "", "what this process is in TestBank: owner or initiator; empty for the judge")
	bankNode     = flag.String("bank.endpoints", "", "the cluster of that process")
)

const (
	bankAccounts = 8
	bankStart    = 100 // what an account has at first
	bankTimeout  = 3 * time.Second
)

func account(i int) string { return fmt.Sprintf("bank/%d", i) }

// balance is the state of an account.
type balance struct{ Balance int }

// Claim: money that agents move by two-phase commit is neither made nor lost, in
// any moment that anybody can see, while those who begin transfers, those who own
// the accounts, and the nodes are killed at random; and no transfer is open for
// longer than its deadline and two seconds. Method: real processes and kill -9; a
// judge reads all balances of one revision again and again. `make bank` takes its
// time.
func TestBank(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 3)
	judge := f.dial(t, "judge")
	for i := range bankAccounts {
		if _, err := client.SaveJSON(t.Context(), judge.Agent(account(i)), balance{bankStart}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), *bankDuration)
	defer cancel()
	var killing, looking sync.WaitGroup
	crew := map[string][]*bankProcess{}
	for role, n := range map[string]int{"owner": 3, "initiator": 2} {
		for range n {
			crew[role] = append(crew[role], f.bankProcess(t, role))
		}
	}
	killing.Go(func() { f.harass(ctx, t, crew) })
	reads := 0
	looking.Go(func() {
		for ctx.Err() == nil {
			if total, ok := bankTotal(t, judge); ok { //nolint:contextcheck // a read that has begun is read to its end
				if reads++; total != bankAccounts*bankStart {
					t.Errorf("there are %d in all accounts", total)
					return
				}
			}
			overdue(t, judge) //nolint:contextcheck // as above
		}
	})
	killing.Wait()
	looking.Wait()
	for _, p := range crew["initiator"] {
		p.kill()
	}
	// The owners live: everything is decided, acknowledged and, past the
	// deadlines, forgotten.
	left := ""
	defer func() {
		if t.Failed() {
			t.Log("what was left of transfers when last seen: " + left)
		}
	}()
	eventuallyBank(t, "all transfers are over", func() bool {
		for txn, err := range judge.Txns(t.Context()) {
			left = fmt.Sprintf("%+v, %v", txn, err)
			return false
		}
		return true
	})
	total, ok := bankTotal(t, judge)
	transfers := 0
	for i := range bankAccounts {
		for v, err := range judge.Agent(account(i)).Versions(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if v.Txn != "" {
				transfers++
			}
		}
	}
	t.Logf("%d versions made by transfers, %d kills, %d reads of all balances", transfers, kills(crew), reads)
	if !ok || total != bankAccounts*bankStart || transfers < 10 || transfers%2 != 0 || reads < 5 {
		t.Errorf("at the end there are %d in all accounts, after %d halves of transfers and %d reads", total, transfers, reads)
	}
}

func eventuallyBank(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(commandLimit); !ok(); wait(t, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// bankTotal reads all balances at one revision: the list of agents is of one, and
// versions do not change. It is false when that could not be read.
func bankTotal(t *testing.T, c *client.Client) (total int, ok bool) {
	t.Helper()
	n := 0
	for a, err := range c.Agents(t.Context(), "bank") {
		if err != nil {
			return 0, false
		}
		cp, err := c.Agent(a.ID.Name).Restore(t.Context(), client.AtVersion(a.Version.Number))
		if err != nil {
			return 0, false
		}
		var b balance
		if err := json.Unmarshal(cp.State, &b); err != nil {
			t.Errorf("account %s: %v", a.ID.Name, err)
		}
		total, n = total+b.Balance, n+1
	}
	return total, n == bankAccounts
}

// overdue fails the test for a transfer that is undecided two seconds after its
// deadline.
func overdue(t *testing.T, c *client.Client) {
	t.Helper()
	for txn, err := range c.Txns(t.Context()) {
		if err != nil {
			return
		}
		if late := time.Since(txn.DeadlineAt); !txn.State.Decided() && late > 2*time.Second {
			t.Errorf("transfer %s is %s %v after its deadline", txn.ID, txn.State, late)
		}
	}
}

// harass kills something every half second until ctx ends: a process of the
// crew, or a node, which starts again.
func (f *fleet) harass(ctx context.Context, t *testing.T, crew map[string][]*bankProcess) {
	t.Helper()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(300*time.Millisecond + rand.N(500*time.Millisecond)):
		}
		switch rand.IntN(3) {
		case 0:
			crew["owner"][rand.IntN(len(crew["owner"]))].restart(t)
		case 1:
			crew["initiator"][rand.IntN(len(crew["initiator"]))].restart(t)
		case 2:
			node := rand.IntN(3)
			if err := f.Process(node).Kill(); err != nil {
				t.Error(err)
			}
			wait(t, 300*time.Millisecond)
			if err := f.Start(node); err != nil {
				t.Error(err)
			}
			f.waitReady(t) //nolint:contextcheck // also when the time is over
		}
	}
}

// bankProcess is a process that owns accounts or begins transfers.
type bankProcess struct {
	f     *fleet
	role  string
	cmd   *exec.Cmd
	kills int
}

func (f *fleet) bankProcess(t *testing.T, role string) *bankProcess {
	t.Helper()
	p := &bankProcess{f: f, role: role}
	p.start(t)
	t.Cleanup(p.kill)
	return p
}

func (p *bankProcess) start(t *testing.T) {
	t.Helper()
	p.cmd = exec.Command(os.Args[0], "-test.run=^TestBank_Process$", "-bank.role="+p.role, "-bank.endpoints="+strings.Join(p.f.Endpoints(), ","))
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		t.Error(err)
	}
}

func (p *bankProcess) kill() {
	_ = p.cmd.Process.Kill() // at most gone
	_ = p.cmd.Wait()         // killed
}

func (p *bankProcess) restart(t *testing.T) {
	t.Helper()
	p.kills++
	p.kill()
	p.start(t)
}

func kills(crew map[string][]*bankProcess) (n int) {
	for _, processes := range crew {
		for _, p := range processes {
			n += p.kills
		}
	}
	return n
}

// TestBank_Process is the other processes of TestBank.
func TestBank_Process(t *testing.T) {
	if *bankRole == "" {
		t.Skip("a process of TestBank, which starts it")
	}
	c, err := client.Dial(client.Config{Endpoints: strings.Split(*bankNode, ",")})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range bankAccounts {
		if *bankRole == "owner" {
			group.Go(func() { serveAccount(t.Context(), c, account(i)) })
		} else {
			group.Go(func() { moveMoney(t.Context(), c) })
		}
	}
	group.Wait()
}

// serveAccount waits to own an account and takes part for it, until it is
// killed.
func serveAccount(ctx context.Context, c *client.Client, name string) {
	for ctx.Err() == nil {
		a := c.Agent(name)
		own, err := a.Claim(ctx, client.TTL(time.Second))
		if err != nil {
			continue
		}
		err = own.Participate(ctx, client.Participant{
			Prepare: func(ctx context.Context, req client.TxnRequest) ([]byte, error) {
				b, err := client.RestoreJSON[balance](ctx, a)
				if err != nil {
					return nil, err
				}
				var change int
				if err := json.Unmarshal(req.Payload, &change); err != nil {
					return nil, client.VoteNo(err.Error())
				}
				if b.Balance += change; b.Balance < 0 {
					return nil, client.VoteNo("no funds")
				}
				return json.Marshal(b)
			},
			Commit:   func(context.Context, hawser.TxnID, uint64) error { return nil },
			Rollback: func(context.Context, hawser.TxnID) error { return nil },
		})
		if own.Err() == nil { // only a lost claim is expected to end it
			fmt.Fprintln(os.Stderr, "bank: ", name, " takes part no more: ", err)
		}
	}
}

// moveMoney begins transfers until it is killed.
func moveMoney(ctx context.Context, c *client.Client) {
	for ctx.Err() == nil {
		from, amount := rand.IntN(bankAccounts), 1+rand.IntN(50)
		to := (from + 1 + rand.IntN(bankAccounts-1)) % bankAccounts
		_, err := c.Transact(ctx, client.Txn{Timeout: bankTimeout, Participants: []client.TxnTask{
			{Agent: account(from), Payload: fmt.Append(nil, -amount)}, {Agent: account(to), Payload: fmt.Append(nil, amount)},
		}})
		if err != nil && !errors.Is(err, hawser.ErrTxnAborted) && !errors.Is(err, hawser.ErrOutcomeUnknown) && !errors.Is(err, hawser.ErrUnavailable) {
			fmt.Fprintln(os.Stderr, "bank: ", err)
		}
	}
}
