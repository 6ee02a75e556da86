// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/jepsen/check"
	"github.com/hawserdb/hawser/jepsen/history"
)

// Bank moves money between agents by two-phase commit, and counts it: of three
// clients one owns accounts, one begins transfers, and one counts.
type Bank struct{ recorder *history.Recorder }

const (
	accounts     = 6
	money        = 100 // of each account, at first
	transferTime = 3 * time.Second
)

// balance is what an account has, since the transfer Txn.
type balance struct {
	Balance int
	Txn     string `json:",omitempty"`
}

func (b *Bank) account(i int) string { return fmt.Sprintf("%s/%d", b.Name(), i) }

// Name implements Workload.
func (*Bank) Name() string { return "bank" }

// Prepare implements Workload.
func (b *Bank) Prepare(ctx context.Context, conn *client.Client) error {
	for i := range accounts {
		if _, err := client.SaveJSON(ctx, conn.Agent(b.account(i)), balance{Balance: money}); err != nil {
			return err
		}
	}
	return nil
}

// Run implements Workload.
func (b *Bank) Run(ctx context.Context, id int, conn *client.Client, rng *rand.Rand) {
	switch id % 3 {
	case 1:
		b.own(ctx, conn)
	case 2:
		for ctx.Err() == nil {
			b.transfer(ctx, id, conn, rng)
			pause(ctx, rng, 50*time.Millisecond)
		}
	default:
		for ctx.Err() == nil {
			b.count(ctx, id, conn)
			pause(ctx, rng, 200*time.Millisecond)
		}
	}
}

// own takes part for whatever account it gets.
func (b *Bank) own(ctx context.Context, conn *client.Client) {
	done := make(chan struct{}, accounts)
	for i := range accounts {
		go func() {
			for ctx.Err() == nil {
				b.serve(ctx, conn.Agent(b.account(i)))
			}
			done <- struct{}{}
		}()
	}
	for range accounts {
		<-done
	}
}

// serve owns an account until the claim is lost.
func (b *Bank) serve(ctx context.Context, a *client.Agent) {
	own, err := a.Claim(ctx, client.TTL(time.Second))
	if err != nil {
		return
	}
	_ = own.Participate(ctx, client.Participant{Prepare: func(ctx context.Context, req client.TxnRequest) ([]byte, error) {
		now, err := client.RestoreJSON[balance](ctx, a)
		if err != nil {
			return nil, err
		}
		var change int
		if err := json.Unmarshal(req.Payload, &change); err != nil {
			return nil, client.VoteNo(err.Error())
		}
		if now.Balance += change; now.Balance < 0 {
			return nil, client.VoteNo("no funds")
		}
		now.Txn = req.ID.ID
		return json.Marshal(now)
	}})
	_ = release(ctx, own) // if it fails, it ends with its TTL
}

func (b *Bank) transfer(ctx context.Context, id int, conn *client.Client, rng *rand.Rand) {
	from, amount := rng.IntN(accounts), 1+rng.IntN(50)
	to := (from + 1 + rng.IntN(accounts-1)) % accounts
	txn := hawser.NewTxnID(conn.Namespace())
	op := b.recorder.Begin(history.Op{
		Client: id, Kind: history.Transfer, Agent: b.Name() + "/", Value: txn.ID, Agents: []string{b.account(from), b.account(to)},
	})
	defer b.recorder.End(op)
	ctx, cancel := context.WithTimeout(ctx, 2*transferTime)
	defer cancel()
	info, err := conn.Transact(ctx, client.Txn{ID: txn.ID, Timeout: transferTime, Participants: []client.TxnTask{
		{Agent: b.account(from), Payload: fmt.Append(nil, -amount)}, {Agent: b.account(to), Payload: fmt.Append(nil, amount)},
	}})
	op.Outcome, op.Error = outcome(err)
	op.Revision = uint64(info.Revision)
}

// count reads all accounts at one revision: a list of agents is of one, and
// versions do not change.
func (b *Bank) count(ctx context.Context, id int, conn *client.Client) {
	op := b.recorder.Begin(history.Op{Client: id, Kind: history.Total, Agent: b.Name() + "/"})
	defer b.recorder.End(op)
	ctx, cancel := context.WithTimeout(ctx, 2*callTime)
	defer cancel()
	op.Outcome = history.OK
	err := func() error {
		for a, err := range conn.Agents(ctx, b.Name()) {
			if err != nil {
				return err
			}
			cp, err := conn.Agent(a.ID.Name).Restore(ctx, client.AtVersion(a.Version.Number))
			if err != nil {
				return err
			}
			var has balance
			if err := json.Unmarshal(cp.State, &has); err != nil {
				return err
			}
			op.Sum, op.Agents = op.Sum+has.Balance, append(op.Agents, a.ID.Name)
			if has.Txn != "" {
				op.Txns = append(op.Txns, has.Txn)
			}
		}
		return nil
	}()
	if err != nil {
		op.Outcome, op.Error = history.Failed, err.Error()
	}
}

// Check implements Workload.
func (*Bank) Check(ops []history.Op, final check.Final) []check.Verdict {
	return []check.Verdict{check.Bank(ops, final, accounts*money)}
}
