// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"fmt"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

// A rollback appends: what was saved in between stays in the history.
func ExampleAgent_Rollback() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	a := c.Agent("a")
	_, _ = a.Save(ctx, []byte("good"))
	_, _ = a.Save(ctx, []byte("bad"))
	v, err := a.Rollback(ctx, 1)
	fmt.Println(v.Number, "repeats", v.Origin, err)
	cp, _ := a.Restore(ctx)
	fmt.Printf("%s\n", cp.State)
	// Output:
	// 3 repeats default/a@1 <nil>
	// good
}

func ExampleAgent_Fork() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	planner := c.Agent("planner")
	_, _ = planner.Save(ctx, []byte("a plan"))
	v, err := planner.Fork(ctx, "planner/what-if")
	fmt.Println(v.Number, v.Origin, err)

	whatIf := c.Agent("planner/what-if")
	cp, _ := whatIf.Restore(ctx)
	_, _ = whatIf.Save(ctx, append(cp.State, ", changed"...))
	cp, _ = planner.Restore(ctx)
	fmt.Printf("%s\n", cp.State)
	// Output:
	// 1 default/planner@1 <nil>
	// a plan
}

func ExampleAgent_Pin() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	a := c.Agent("a")
	_, _ = a.Save(ctx, []byte("to keep"))
	v, err := a.Pin(ctx, 1)
	fmt.Println(v.Pinned, err)
	v, err = a.Unpin(ctx, 1)
	fmt.Println(v.Pinned, err)
	// Output:
	// true <nil>
	// false <nil>
}

func ExampleAgent_Diff() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	a := c.Agent("a")
	_, _ = a.Save(ctx, []byte(`{"step":1,"notes":["begin"]}`))
	_, _ = a.Save(ctx, []byte(`{"step":2,"notes":["begin","go on"]}`))
	d, err := a.Diff(ctx, 1, 2)
	for _, change := range d.Changes {
		fmt.Println(change.Kind, change.Path, change.Old, change.New)
	}
	fmt.Println(err)
	// Output:
	// changed /step 1 2
	// added /notes/1  "go on"
	// <nil>
}

// What was computed from a version that turns out to be wrong?
func ExampleClient_Impact() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	found, _ := c.Agent("researcher").Save(ctx, []byte("findings"))
	ref := hawser.VersionRef{Agent: found.Agent, Number: found.Number}
	_, _ = c.Agent("writer").Save(ctx, []byte("report"), client.DerivedFrom(ref))
	impact, err := c.Impact(ctx, ref)
	for _, a := range impact.Affected {
		fmt.Println(a.Agent, a.Versions, "from", a.Via)
	}
	fmt.Println(err)
	// Output:
	// default/writer [1] from default/researcher@1
	// <nil>
}

func ExampleClient_Verify() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	_, _ = c.Agent("crew/a").Save(ctx, []byte("state"))
	_, _ = c.Agent("crew/b").Save(ctx, []byte("state"))
	for found, err := range c.Verify(ctx, "crew") {
		fmt.Println(found.Agent, found.Versions, len(found.Bad), err)
	}
	// Output:
	// default/crew/a 1 0 <nil>
	// default/crew/b 1 0 <nil>
}

func ExampleClient_SetRetention() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	for range 5 {
		_, _ = c.Agent("crew/a").Save(ctx, []byte("state"), client.Overwrite())
	}
	rules := hawser.Retention{KeepLast: 2}
	would, err := c.SetRetention(ctx, "crew", rules, client.DryRun())
	fmt.Println("would remove", would.Versions, "versions of", would.Agents, "agents", err)
	_, err = c.SetRetention(ctx, "crew", rules)
	fmt.Println(err)
	r, err := c.Retention(ctx, "crew/a")
	fmt.Println(r.Rules.KeepLast, "by the policy of", r.Source.Prefix, err)
	_, err = c.RemoveRetention(ctx, "crew")
	fmt.Println(err)
	// Output:
	// would remove 3 versions of 1 agents <nil>
	// <nil>
	// 2 by the policy of crew <nil>
	// <nil>
}

func ExampleClient_Export() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	_, _ = c.Agent("a").Save(ctx, []byte("state"))
	items := 0
	err := c.Export(ctx, "default", "",
		func(s client.ExportStart) error {
			fmt.Println("agents:", s.Agents)
			return nil
		},
		func(batch [][]byte) error {
			items += len(batch)
			return nil
		})
	fmt.Println("items:", items, err)
	// Output:
	// agents: 1
	// items: 2 <nil>
}

func ExampleClient_Import() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	items := [][]byte{[]byte("item"), []byte("item")} // of an archive
	start := client.ImportStart{Archive: hawser.Hash{1}, Generation: 1, Revision: 1, Agents: 1, Versions: 2}
	made, err := c.Import(ctx, start, func(yield func([]byte, error) bool) {
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
	})
	fmt.Println(made.Agents, made.Versions, err)
	// Output: 1 2 <nil>
}
