// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

func (p *program) txn() *cli.Command {
	return group("txn", "show and end transactions", p.txnList(), p.txnShow(), p.txnAbort(), p.txnResolve(), p.txnForget())
}

func (p *program) txnList() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list the transactions of a namespace that are not over",
		Description: "A transaction is over when it is decided, all have acknowledged that, and its\ndeadline has passed.\n\n" +
			"Examples:\n   hawser txn list\n   hawser txn list -o json",
		Flags: []cli.Flag{limitFlag()},
		Action: listed(p, func(ctx context.Context, _ *cli.Context, conn *client.Client, limit int) iter.Seq2[hawser.TxnInfo, error] {
			return conn.Txns(ctx, beyond(limit))
		}, viewTxn, p.printTxns),
	}
}

func (p *program) printTxns(found []hawser.TxnInfo) error {
	t := newTable("TXN", "STATE", "BEGUN", "DEADLINE", "PARTICIPANTS", "WAITS FOR")
	for _, txn := range found {
		t.add(txn.ID.ID, stateOf(txn), clock(txn.BegunAt), clock(txn.DeadlineAt), fmt.Sprint(len(txn.Participants)), waitsFor(txn))
	}
	return t.write(p.stdout)
}

// stateOf is the state of a transaction in a word or two.
func stateOf(t hawser.TxnInfo) string {
	switch {
	case t.Kept:
		return t.State.String() + ", kept"
	case t.Done:
		return t.State.String() + ", done"
	}
	return t.State.String()
}

// waitsFor says who has to do something next, and whom that one waits for.
func waitsFor(t hawser.TxnInfo) string {
	var who []string
	for _, participant := range t.Participants {
		switch {
		case t.State.Decided() && !participant.Acknowledged:
			who = append(who, participant.Agent.Name)
		case t.State == hawser.TxnPending && participant.Vote == hawser.VoteNone && !participant.Waiting.IsZero():
			who = append(who, participant.Agent.Name+" (behind "+participant.Waiting.ID+")")
		case t.State == hawser.TxnPending && participant.Vote == hawser.VoteNone:
			who = append(who, participant.Agent.Name)
		}
	}
	if t.State == hawser.TxnPrepared {
		return "its initiator"
	}
	return strings.Join(who, ", ")
}

func (p *program) txnShow() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show a transaction, and who waits for whom", ArgsUsage: "TXN",
		Description: "One that is not found was never begun, or is over.\n\nExamples:\n   hawser txn show order-4711\n   hawser txn show order-4711 -o json",
		Action: func(c *cli.Context) error {
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				t, err := conn.Txn(ctx, c.Args().First())
				if err != nil {
					return err
				}
				return p.printTxn(c, t)
			})
		},
	}
}

func (p *program) printTxn(c *cli.Context, t hawser.TxnInfo) error {
	if wantsJSON(c) {
		return p.writeJSON(viewTxn(t))
	}
	pairs := []string{"txn", t.ID.ID, "state", stateOf(t), "begun", clock(t.BegunAt), "deadline", clock(t.DeadlineAt)}
	if t.State.Decided() {
		pairs = append(pairs, "decided", fmt.Sprintf("%s, revision %d", clock(t.DecidedAt), t.Revision))
	}
	if t.Reason != "" {
		pairs = append(pairs, "reason", t.Reason)
	}
	if waits := waitsFor(t); waits != "" {
		pairs = append(pairs, "waits for", waits)
	}
	if err := fields(p.stdout, pairs...); err != nil {
		return err
	}
	table := newTable("AGENT", "VOTE", "EPOCH", "VERSION", "ACKNOWLEDGED", "REASON")
	for _, participant := range t.Participants {
		acknowledged := "no"
		switch {
		case participant.Resolved:
			acknowledged = "resolved by hand"
		case participant.Acknowledged:
			acknowledged = "yes"
		case !t.State.Decided():
			acknowledged = ""
		}
		table.add(participant.Agent.Name, participant.Vote.String(), number(participant.Epoch), number(participant.Version), acknowledged, participant.Reason)
	}
	return table.write(p.stdout)
}

func (p *program) txnAbort() *cli.Command {
	return &cli.Command{
		Name: "abort", Usage: "abort a transaction that is not decided", ArgsUsage: "TXN",
		Description: "The reason is told to all who take part. One that is committed is refused.\n\n" +
			"Examples:\n   hawser txn abort order-4711 --reason \"the shop is closed\"",
		Flags: []cli.Flag{&cli.StringFlag{Name: flagReason, Usage: "tell all why: `TEXT`; required"}},
		Action: func(c *cli.Context) error {
			if err := needReason(c); err != nil {
				return err
			}
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				t, err := conn.AbortTxn(ctx, c.Args().First(), c.String(flagReason))
				if err != nil {
					return err
				}
				return p.printTxn(c, t)
			})
		},
	}
}

func needReason(c *cli.Context) error {
	if strings.TrimSpace(c.String(flagReason)) == "" {
		return usageErrorf("--reason is missing: it is kept for whoever asks why")
	}
	return nil
}

func (p *program) txnResolve() *cli.Command {
	return &cli.Command{
		Name: "resolve", Usage: "acknowledge a decision in the place of an agent that is gone", ArgsUsage: "TXN AGENT",
		Description: `The decision stays what it is, and what AGENT had to do for it elsewhere is not done
by this: look after that first. Refused while somebody owns the agent. A committed
transaction stays listed until it is forgotten (hawser txn forget).

Examples:
   hawser txn resolve order-4711 warehouse --reason "moved to the new one by hand"`,
		Flags: []cli.Flag{&cli.StringFlag{Name: flagReason, Usage: "say why: `TEXT`; required"}},
		Action: func(c *cli.Context) error {
			if err := needReason(c); err != nil {
				return err
			}
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				t, err := conn.ResolveTxn(ctx, c.Args().First(), c.Args().Get(1), c.String(flagReason))
				if err != nil {
					return err
				}
				return p.printTxn(c, t)
			})
		},
	}
}

func (p *program) txnForget() *cli.Command {
	return &cli.Command{
		Name: "forget", Usage: "remove a transaction that was resolved by hand", ArgsUsage: "TXN",
		Description: "Examples:\n   hawser txn forget order-4711",
		Action: func(c *cli.Context) error {
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				if err := conn.ForgetTxn(ctx, c.Args().First()); err != nil {
					return err
				}
				_, err := fmt.Fprintf(p.stdout, "%s is forgotten\n", escape(c.Args().First()))
				return err
			})
		},
	}
}

// txnView is a transaction as JSON. Keys are stable: add, never rename.
type txnView struct {
	Namespace    string               `json:"namespace"`
	Txn          string               `json:"txn"`
	State        string               `json:"state"`
	Done         bool                 `json:"done"`
	Kept         bool                 `json:"kept"`
	Manual       bool                 `json:"manual"`
	BegunAt      string               `json:"begun_at"`
	DeadlineAt   string               `json:"deadline_at"`
	DecidedAt    string               `json:"decided_at,omitempty"`
	Revision     uint64               `json:"revision,omitempty"`
	Reason       string               `json:"reason,omitempty"`
	Participants []txnParticipantView `json:"participants"`
}

type txnParticipantView struct {
	Agent        string `json:"agent"`
	Vote         string `json:"vote"`
	Reason       string `json:"reason,omitempty"`
	Epoch        uint64 `json:"epoch"`
	Version      uint64 `json:"version,omitempty"`
	Acknowledged bool   `json:"acknowledged"`
	Resolved     bool   `json:"resolved"`
	WaitingFor   string `json:"waiting_for,omitempty"`
}

func viewTxn(t hawser.TxnInfo) txnView {
	v := txnView{
		Namespace: t.ID.Namespace, Txn: t.ID.ID, State: t.State.String(), Done: t.Done, Kept: t.Kept, Manual: t.Manual,
		BegunAt: timestamp(t.BegunAt), DeadlineAt: timestamp(t.DeadlineAt), Revision: uint64(t.Revision), Reason: t.Reason,
		Participants: make([]txnParticipantView, len(t.Participants)),
	}
	if t.DecidedAt != (time.Time{}) {
		v.DecidedAt = timestamp(t.DecidedAt)
	}
	for i, participant := range t.Participants {
		v.Participants[i] = txnParticipantView{
			participant.Agent.Name, participant.Vote.String(), participant.Reason, participant.Epoch, participant.Version,
			participant.Acknowledged, participant.Resolved, participant.Waiting.ID,
		}
	}
	return v
}
