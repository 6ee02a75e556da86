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

func limitOf(c *cli.Context) (client.ListOption, error) {
	n := c.Int(flagLimit)
	if n < 0 {
		return nil, usageErrorf("--%s %d: is negative", flagLimit, n)
	}
	return client.Limit(n), nil
}

func (p *program) stateVersions() *cli.Command {
	return &cli.Command{
		Name: "versions", Usage: "list the versions of an agent, newest first", ArgsUsage: "AGENT",
		Description: "Examples:\n   hawser state versions researcher-7\n   hawser state versions researcher-7 --limit 5 -o json",
		Flags:       []cli.Flag{limitFlag()},
		Action: func(c *cli.Context) error {
			limit, err := limitOf(c)
			if err != nil {
				return err
			}
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				versions, err := collect(conn.Agent(c.Args().First()).Versions(ctx, limit))
				if err != nil {
					return err
				}
				if wantsJSON(c) {
					views := make([]versionView, len(versions))
					for i, v := range versions {
						views[i] = viewVersion(v)
					}
					return p.writeJSON(views)
				}
				return p.printVersions(versions)
			})
		},
	}
}

func (p *program) printVersions(versions []hawser.Version) error {
	t := newTable("VERSION", "CREATED", "SIZE", "STORED", "STATE", "SHA256", "INSTANCE", "LABELS")
	for _, v := range versions {
		t.add(number(v.Number), clock(v.CreatedAt), strconv.FormatInt(v.Size, 10), strconv.FormatInt(v.StoredSize, 10),
			v.State.String(), v.SHA256.String()[:12], v.Instance, labelList(v.Labels))
	}
	return t.write(p.stdout)
}

// collect returns the items of a sequence, or its first error.
func collect[T any](items iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for item, err := range items {
		if err != nil {
			return nil, err
		}
		all = append(all, item)
	}
	return all, nil
}
