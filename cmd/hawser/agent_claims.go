// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

func (p *program) agentClaims() *cli.Command {
	return &cli.Command{
		Name: "claims", Usage: "list who owns agents and who waits for them", ArgsUsage: "[PREFIX]",
		Description: "PREFIX is whole segments of a name: \"crew\" lists crew and crew/a, not crewman.\n\n" +
			"Examples:\n   hawser agent claims\n   hawser agent claims crew --locks -o json",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "locks", Usage: "list locks instead"}},
		Action: func(c *cli.Context) error {
			kind := hawser.ResourceClaim
			if c.Bool("locks") {
				kind = hawser.ResourceLock
			}
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				holdings := []hawser.Holding{}
				for h, err := range conn.Holdings(ctx, kind, c.Args().First()) {
					if err != nil {
						return err
					}
					holdings = append(holdings, h)
				}
				if wantsJSON(c) {
					return p.writeJSON(viewHoldings(holdings))
				}
				return p.printHoldings(holdings)
			})
		},
	}
}

func (p *program) printHoldings(holdings []hawser.Holding) error {
	t := newTable("NAME", "HOLDER", "FENCE", "SINCE", "TTL", "STATE", "WAITING")
	for _, h := range holdings {
		name, waiting := h.Resource.Name.Name, strconv.Itoa(h.Waiting)
		for _, holder := range h.Holders {
			state := "holds"
			if holder.Health != hawser.HealthUnknown {
				state += ", " + holder.Health.String()
			}
			if holder.Ending {
				state = "ending: " + holder.Reason
			}
			t.add(name, holder.Instance, number(holder.Token), clock(holder.Since), holder.TTL.String(), state, waiting)
		}
		for _, w := range h.Waiters {
			t.add(name, w.Instance, "", clock(w.Since), "", fmt.Sprintf("waits, priority %d", w.Priority), "")
		}
	}
	return t.write(p.stdout)
}

type holdingView struct {
	Namespace string       `json:"namespace"`
	Name      string       `json:"name"`
	Capacity  uint32       `json:"capacity"`
	Epoch     uint64       `json:"epoch"`
	Fenced    bool         `json:"fenced"`
	Waiting   int          `json:"waiting"`
	Holders   []holderView `json:"holders"`
	Waiters   []waiterView `json:"waiters"`
}

type holderView struct {
	Instance string `json:"instance"`
	Fence    uint64 `json:"fence"`
	Since    string `json:"since"`
	TTL      string `json:"ttl"`
	Ending   bool   `json:"ending"`
	Reason   string `json:"reason,omitempty"`
	// Health is that of the owner of an agent, as a leader told the log last.
	Health hawser.HealthState `json:"health"`
}

type waiterView struct {
	Instance string `json:"instance"`
	Priority int32  `json:"priority"`
	Since    string `json:"since"`
}

func viewHoldings(holdings []hawser.Holding) []holdingView {
	views := make([]holdingView, len(holdings))
	for i, h := range holdings {
		v := holdingView{
			Namespace: h.Resource.Name.Namespace, Name: h.Resource.Name.Name, Capacity: h.Capacity, Epoch: h.Epoch, Fenced: h.Fenced,
			Waiting: h.Waiting, Holders: []holderView{}, Waiters: []waiterView{},
		}
		for _, holder := range h.Holders {
			v.Holders = append(v.Holders, holderView{
				holder.Instance, holder.Token, timestamp(holder.Since), holder.TTL.String(), holder.Ending, holder.Reason, holder.Health,
			})
		}
		for _, w := range h.Waiters {
			v.Waiters = append(v.Waiters, waiterView{w.Instance, w.Priority, timestamp(w.Since)})
		}
		views[i] = v
	}
	return views
}

const flagReason = "reason"

func (p *program) agentHandover() *cli.Command {
	return &cli.Command{
		Name: "handover", Usage: "give an agent to another instance that waits for it", ArgsUsage: "AGENT INSTANCE",
		Description: "The owner's writes are refused at once; INSTANCE gets the agent when the owner has\n" +
			"stopped, or its time to live is over.\n\nExamples:\n   hawser agent handover researcher-7 worker-b --reason drained",
		Flags: []cli.Flag{&cli.StringFlag{Name: flagReason, Usage: "tell the owner why: `TEXT`"}},
		Action: func(c *cli.Context) error {
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				agent, to := conn.Agent(c.Args().First()), c.Args().Get(1)
				if err := agent.Handover(ctx, to, c.String(flagReason)); err != nil {
					return err
				}
				_, err := fmt.Fprintf(p.stdout, "%s goes to %s\n", escape(agent.ID().String()), escape(to))
				return err
			})
		},
	}
}

func (p *program) agentUnclaim() *cli.Command {
	return &cli.Command{
		Name: "unclaim", Usage: "open an agent to writes without a claim", ArgsUsage: "AGENT",
		Description: "Ends the claim that there is, if any. Who waits for the agent still gets it, and\n" +
			"closes it again.\n\nExamples:\n   hawser agent unclaim researcher-7 --reason mended",
		Flags: []cli.Flag{&cli.StringFlag{Name: flagReason, Usage: "tell the owner why: `TEXT`"}},
		Action: func(c *cli.Context) error {
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				agent := conn.Agent(c.Args().First())
				if err := agent.Unclaim(ctx, c.String(flagReason)); err != nil {
					return err
				}
				_, err := fmt.Fprintf(p.stdout, "%s takes writes without a claim\n", escape(agent.ID().String()))
				return err
			})
		},
	}
}
