// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"iter"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

const flagLimit = "limit"

// defaultListLimit keeps a list on a few screens; --limit 0 lists all.
const defaultListLimit = 100

func limitFlag() cli.Flag {
	return &cli.IntFlag{Name: flagLimit, Value: defaultListLimit, Usage: "list at most `N`; 0 lists all"}
}

func limitOf(c *cli.Context) (int, error) {
	n := c.Int(flagLimit)
	if n < 0 {
		return 0, usageErrorf("--%s %d: is negative", flagLimit, n)
	}
	return n, nil
}

// beyond asks for one more than limit, so that a list that was cut is noticed.
func beyond(limit int) client.ListOption {
	if limit == 0 {
		return client.Limit(0)
	}
	return client.Limit(limit + 1)
}

func (p *program) stateVersions() *cli.Command {
	return &cli.Command{
		Name: "versions", Usage: "list the versions of an agent, newest first", ArgsUsage: "AGENT",
		Description: "Examples:\n   hawser state versions researcher-7\n   hawser state versions researcher-7 --limit 5 -o json",
		Flags:       []cli.Flag{limitFlag()},
		Action: listed(p, func(ctx context.Context, c *cli.Context, conn *client.Client, limit int) iter.Seq2[hawser.Version, error] {
			return conn.Agent(c.Args().First()).Versions(ctx, beyond(limit))
		}, viewVersion, p.printVersions),
	}
}

func (p *program) printVersions(versions []hawser.Version) error {
	t := newTable("VERSION", "CREATED", "SIZE", "STORED", "STATE", "SHA256", "INSTANCE", "LABELS")
	for _, v := range versions {
		t.add(number(v.Number), clock(v.CreatedAt), strconv.FormatInt(v.Size, 10), strconv.FormatInt(v.StoredSize, 10),
			stateText(v), v.SHA256.String()[:12], v.Instance, labelList(v.Labels))
	}
	return t.write(p.stdout)
}

// listed is the action of a command that lists what find yields, as JSON or with
// table. find is given how many are asked for, 0 for all.
func listed[T, V any](
	p *program, find func(context.Context, *cli.Context, *client.Client, int) iter.Seq2[T, error], view func(T) V, table func([]T) error,
) cli.ActionFunc {
	return func(c *cli.Context) error {
		limit, err := limitOf(c)
		if err != nil {
			return err
		}
		return withClient(c, func(ctx context.Context, conn *client.Client) error {
			found, err := collect(p, limit, find(ctx, c, conn, limit))
			if err != nil {
				return err
			}
			if !wantsJSON(c) {
				return table(found)
			}
			views := make([]V, len(found))
			for i, item := range found {
				views[i] = view(item)
			}
			return p.writeJSON(views)
		})
	}
}

// collect returns at most limit items of a sequence, all for 0, or its first
// error. It says on stderr that there are more, so that no script takes a part
// for the whole unnoticed.
func collect[T any](p *program, limit int, items iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for item, err := range items {
		switch {
		case err != nil:
			return nil, err
		case limit > 0 && len(all) == limit:
			say(p.stderr, "hawser: there are more; these are the first %d (--%s 0 lists all)\n", limit, flagLimit)
			return all, nil
		}
		all = append(all, item)
	}
	return all, nil
}
