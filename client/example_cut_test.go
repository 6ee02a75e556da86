// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/hawsertest"
)

// A crew goes back to Friday, all at once; a worker of before can not save.
func ExampleClient_RollbackTo() {
	endpoint, stop := hawsertest.StartExample()
	defer stop()
	c := exampleInstance(endpoint, "operator")
	defer c.Close()
	ctx := context.Background()

	planner, writer := c.Agent("crew/planner"), c.Agent("crew/writer")
	if _, err := c.SaveAll(ctx, client.SaveOf(planner, []byte("a plan")), client.SaveOf(writer, []byte("a draft"))); err != nil {
		panic(err)
	}
	cut, err := c.Cut(ctx, "friday", client.CutPrefix("crew"))
	if err != nil {
		panic(err)
	}
	fmt.Println(cut.Size, "agents in", cut.Name.Name)
	if _, err := writer.Save(ctx, []byte("nonsense")); err != nil {
		panic(err)
	}

	plan, err := c.RollbackTo(ctx, "friday", client.DryRun())
	if err != nil {
		panic(err)
	}
	for _, a := range plan.Agents {
		fmt.Printf("%s would go from version %d to %d\n", a.Agent.Name, a.Head, a.Number)
	}
	if _, err = c.RollbackTo(ctx, "friday", client.BecauseOf("the writer loops")); err != nil {
		panic(err)
	}
	_, err = writer.Save(ctx, []byte("more nonsense"))
	fmt.Println("conflict:", errors.Is(err, hawser.ErrConflict))
	cp, err := writer.Restore(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Printf("version %d: %s\n", cp.Version.Number, cp.State)
	// Output:
	// 2 agents in friday
	// crew/planner would go from version 1 to 1
	// crew/writer would go from version 2 to 1
	// conflict: true
	// version 3: a draft
}

// Two agents get their new states at one revision, or both keep the old ones.
func ExampleClient_SaveAll() {
	endpoint, stop := hawsertest.StartExample()
	defer stop()
	c := exampleInstance(endpoint, "bookkeeper")
	defer c.Close()
	ctx := context.Background()

	from, to := c.Agent("account-1"), c.Agent("account-2")
	versions, err := c.SaveAll(ctx, client.SaveOf(from, []byte("90")), client.SaveOf(to, []byte("10"), client.Label("why", "rent")))
	if err != nil {
		panic(err)
	}
	fmt.Println("at one revision:", versions[0].Revision == versions[1].Revision)

	_, err = c.SaveAll(ctx, client.SaveOf(from, []byte("80")), client.SaveOf(c.Agent("account-2"), []byte("20")))
	if conflict, ok := errors.AsType[*hawser.ConflictError](err); ok {
		fmt.Println("nothing was saved, because of", conflict.Agent.Name)
	}
	fmt.Println("account-1 is still at version", from.Head())
	// Output:
	// at one revision: true
	// nothing was saved, because of account-2
	// account-1 is still at version 1
}
