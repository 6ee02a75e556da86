// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

func (p *program) benchTxn() *cli.Command {
	return &cli.Command{
		Name: "txn", Usage: "measure transactions over several agents",
		Description: `Agents named bench/... are claimed by this process and vote yes with a new state
in every transaction. Clients begin transactions over agents that they choose at
random, and wait for the decision.

Example:
   hawser bench txn --participants 2 --clients 4 --agents 8 --duration 1s -o json`,
		Flags: append(benchFlags(), &cli.IntFlag{Name: "participants", Value: 2, Usage: "let `N` agents take part in each"}),
		Action: func(c *cli.Context) error {
			return p.runBenchTxn(c)
		},
	}
}

// cast are agents that this process owns, and that take part in transactions.
type cast struct {
	conn     *client.Client
	names    []string
	attended sync.WaitGroup
	failures chan error // capacity 1: the first counts
}

// newCast claims so many agents and has them vote yes.
func newCast(ctx context.Context, connections []*client.Client, agents, size int) (*cast, error) {
	w := &cast{conn: connections[0], failures: make(chan error, 1)}
	nonce := hawser.NewNonce()
	for i := range agents {
		w.names = append(w.names, fmt.Sprintf("bench/%x/%d", nonce[:4], i))
	}
	err := each(agents, func(i int) error {
		own, err := connections[i%len(connections)].Agent(w.names[i]).Claim(ctx)
		if err != nil {
			return err
		}
		state := make([]byte, size)
		rng := rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)})
		w.attended.Go(func() {
			err := own.Participate(ctx, client.Participant{Prepare: func(context.Context, client.TxnRequest) ([]byte, error) {
				_, _ = rng.Read(state) // documented never to fail
				return state, nil
			}})
			if ctx.Err() == nil {
				select {
				case w.failures <- err:
				default:
				}
			}
		})
		return nil
	})
	return w, err
}

// pick returns n agents, none twice.
func (w *cast) pick(n int) []client.TxnTask {
	tasks := make([]client.TxnTask, 0, n)
	chosen := make(map[int]bool, n)
	for len(tasks) < n {
		if i := rand.IntN(len(w.names)); !chosen[i] {
			chosen[i] = true
			tasks = append(tasks, client.TxnTask{Agent: w.names[i]})
		}
	}
	return tasks
}

func (p *program) runBenchTxn(c *cli.Context) error {
	plan := benchPlan{clients: c.Int("clients"), agents: c.Int("agents"), size: c.Int("size"), duration: c.Duration("duration")}
	participants := c.Int("participants")
	if plan.agents == 0 {
		plan.agents = max(plan.clients, participants)
	}
	check := plan
	check.agents = max(plan.agents, plan.clients) // clients need no agent each
	if err := check.check(); err != nil {
		return err
	}
	if participants < 1 || participants > min(plan.agents, hawser.MaxParticipants) {
		return usageErrorf("--participants %d: from 1 to %d", participants, min(plan.agents, hawser.MaxParticipants))
	}
	connections, err := benchConnections(c, max(plan.clients, plan.agents))
	if err != nil {
		return err
	}
	defer func() {
		for _, conn := range connections {
			_ = conn.Close()
		}
	}()
	if err := benchReady(c, connections[0]); err != nil {
		return err
	}
	attending, dismiss := context.WithCancel(c.Context)
	w, err := newCast(attending, connections, plan.agents, plan.size)
	defer w.attended.Wait()
	defer dismiss()
	if err != nil {
		return explain(err, endpoints(c))
	}
	var latencies histogram
	workers := make([]*worker, plan.clients)
	for i := range workers {
		conn := connections[i%len(connections)]
		workers[i] = &worker{latencies: &latencies, operate: func(ctx context.Context, _ *worker, _ int) error {
			_, err := conn.Transact(ctx, client.Txn{Participants: w.pick(participants)})
			return err
		}}
	}
	begin := time.Now().Add(benchWarmUp)
	ctx, cancel := context.WithDeadline(c.Context, begin.Add(plan.duration))
	defer cancel()
	var group sync.WaitGroup
	for _, w := range workers {
		group.Go(func() { w.loop(ctx, begin) })
	}
	group.Wait()
	select {
	case err := <-w.failures:
		return explain(errors.Join(errors.New("an agent does not take part any more"), err), endpoints(c))
	default:
	}
	return p.printBench(c, summarise(plan, workers, &latencies, time.Since(begin)), workers)
}
