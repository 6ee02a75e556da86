// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

func (p *program) watchEvents() *cli.Command {
	return &cli.Command{
		Name: "watch", Usage: "print what happens, as it happens", ArgsUsage: "[PREFIX]",
		Description: `Prints one line an event until it is interrupted: saves, prunes, deletes, claims
and locks of the namespace, or of names that start with the segments of PREFIX.
With --output json every line is an object; its cursor is where --after goes on,
at any node, up to an hour later.

Examples:
   hawser watch
   hawser watch crew --kind VERSION_SAVED --kind CLAIM_GRANTED -o json`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "only of the agent or lock `NAME`"},
			&cli.StringSliceFlag{Name: "kind", Usage: "only events of `KIND`; may be given repeatedly"},
			&cli.StringFlag{Name: "after", Usage: "go on after `CURSOR`", DefaultText: "now"},
			&cli.IntFlag{Name: "count", Usage: "end after `N` events", DefaultText: "never"},
		},
		Action: func(c *cli.Context) error {
			options, err := watchOptions(c)
			if err != nil {
				return err
			}
			conn, err := dial(c, endpoints(c))
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			return explain(p.printEvents(c.Context, c, conn, options), endpoints(c))
		},
	}
}

func watchOptions(c *cli.Context) ([]client.WatchOption, error) {
	var options []client.WatchOption
	if prefix := c.Args().First(); prefix != "" {
		options = append(options, client.Prefix(prefix))
	}
	if name := c.String("name"); name != "" {
		options = append(options, client.Name(name))
	}
	kinds := hawser.EventKinds()
	for _, text := range c.StringSlice("kind") {
		i := slices.IndexFunc(kinds, func(k hawser.EventKind) bool { return strings.EqualFold(k.String(), text) })
		if i < 0 {
			return nil, usageErrorf("--kind %q: one of %v", text, kinds)
		}
		options = append(options, client.Kinds(kinds[i]))
	}
	cursor, err := hawser.ParseCursor(c.String("after"))
	return append(options, client.After(cursor)), err
}

func (p *program) printEvents(ctx context.Context, c *cli.Context, conn *client.Client, options []client.WatchOption) error {
	left := c.Int("count")
	for batch, err := range conn.Watch(ctx, options...) {
		if ctx.Err() != nil {
			return nil // it was interrupted, which is how it ends
		}
		if err != nil {
			return err
		}
		for i, e := range batch.Events {
			cursor := ""
			if i+1 == len(batch.Events) || batch.Events[i+1].Revision != e.Revision {
				cursor = hawser.Cursor{Generation: batch.Cursor.Generation, Revision: e.Revision}.String()
			}
			if err := p.printEvent(e, cursor, wantsJSON(c)); err != nil {
				return err
			}
			if left--; left == 0 {
				return nil
			}
		}
	}
	return nil
}

type eventView struct {
	Revision  uint64 `json:"revision"`
	Time      string `json:"time"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Number    uint64 `json:"number,omitempty"`
	Last      uint64 `json:"last,omitempty"`
	Size      int64  `json:"size,omitempty"`
	Fence     uint64 `json:"fence,omitempty"`
	Instance  string `json:"instance,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Cursor    string `json:"cursor,omitempty"`
	Txn       string `json:"txn,omitempty"`
	Effect    string `json:"effect,omitempty"`
	// Health is what the owner of an agent has become.
	Health string `json:"health,omitempty"`
}

func (p *program) printEvent(e hawser.Event, cursor string, asJSON bool) error {
	v := eventView{
		uint64(e.Revision), timestamp(e.Time), e.Kind.String(), e.Name.Namespace, e.Name.Name, e.Number, e.Last, e.Size, e.Token,
		e.Instance, e.Reason, cursor, e.Txn, e.Effect, "",
	}
	if e.Kind == hawser.EventHealthChanged {
		v.Health, v.Number = hawser.HealthState(e.Number).String(), 0
	}
	if asJSON {
		line, err := json.Marshal(v)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.stdout, escape(string(line)))
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d %s %s", clock(e.Time), e.Revision, e.Kind, e.Name.Name)
	switch {
	case v.Health != "":
		fmt.Fprintf(&b, " %s", v.Health)
	case e.Last > e.Number:
		fmt.Fprintf(&b, "@%d-%d", e.Number, e.Last)
	case e.Number != 0:
		fmt.Fprintf(&b, "@%d", e.Number)
	}
	for _, detail := range []struct {
		name  string
		there bool
		value any
	}{
		{"bytes", e.Kind == hawser.EventVersionSaved || e.Kind == hawser.EventMessageSent, e.Size},
		{"instance", e.Instance != "", e.Instance},
		{"fence", e.Token != 0, e.Token},
		{"txn", e.Txn != "", e.Txn},
		{"effect", e.Effect != "", e.Effect},
		{"reason", e.Reason != "", fmt.Sprintf("%q", e.Reason)},
	} {
		if detail.there {
			fmt.Fprintf(&b, " %s=%v", detail.name, detail.value)
		}
	}
	_, err := fmt.Fprintln(p.stdout, escape(b.String()))
	return err
}
