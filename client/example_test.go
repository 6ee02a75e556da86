// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/internal/fakecluster"
)

// exampleClient returns a client of an in-memory cluster, and what stops both.
func exampleClient() (*client.Client, func()) {
	cluster := fakecluster.Start(3)
	c, err := client.Dial(client.Config{Endpoints: cluster.Endpoints(), DialOptions: cluster.DialOptions()})
	if err != nil {
		log.Fatal(err)
	}
	return c, func() {
		_ = c.Close()
		cluster.Stop()
	}
}

func Example() {
	c, stop := exampleClient() // client.Dial(client.Config{Endpoints: ...})
	defer stop()
	ctx := context.Background()

	agent := c.Agent("researcher-7")
	if _, err := agent.Restore(ctx); errors.Is(err, hawser.ErrNotFound) {
		fmt.Println("a new agent")
	}
	for step := range 3 {
		v, err := agent.Save(ctx, fmt.Appendf(nil, "step %d", step))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("saved version", v.Number)
	}
	cp, err := agent.Restore(ctx)
	fmt.Printf("%s, %v\n", cp.State, err)
	// Output:
	// a new agent
	// saved version 1
	// saved version 2
	// saved version 3
	// step 2, <nil>
}

func ExampleClient_Ready() {
	c, stop := exampleClient()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println(c.Ready(ctx))
	// Output: <nil>
}

// Somebody else saved in between: the error says what the head is, and the
// handle keeps its place until it restores.
func ExampleAgent_Save_conflict() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	mine, theirs := c.Agent("planner"), c.Agent("planner")
	_, _ = mine.Save(ctx, []byte("mine"))
	_, err := theirs.Save(ctx, []byte("theirs"))
	if conflict, ok := errors.AsType[*hawser.ConflictError](err); ok {
		fmt.Println("the head is version", conflict.Head.Number)
	}
	cp, _ := theirs.Restore(ctx)
	v, err := theirs.Save(ctx, append(cp.State, " and theirs"...))
	fmt.Println(v.Number, err)
	// Output:
	// the head is version 1
	// 2 <nil>
}

func ExampleExpectVersion() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	_, err := c.Agent("a").Save(ctx, []byte("first"), client.ExpectVersion(0)) // must not exist
	fmt.Println(err)
	_, err = c.Agent("a").Save(ctx, []byte("second"), client.ExpectVersion(7))
	fmt.Println(errors.Is(err, hawser.ErrConflict))
	_, err = c.Agent("a").Save(ctx, []byte("second"), client.Overwrite())
	fmt.Println(err)
	// Output:
	// <nil>
	// true
	// <nil>
}

func ExampleAgent_Restore_version() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	a := c.Agent("writer")
	_, _ = a.Save(ctx, []byte("draft"), client.Label("step", "1"), client.ContentType("text/plain"), client.Schema("v1"))
	_, _ = a.Save(ctx, []byte("final"))
	cp, err := a.Restore(ctx, client.AtVersion(1))
	fmt.Printf("%s %v %v %d\n", cp.State, cp.Version.Labels, err, a.Head())
	// Output: draft map[step:1] <nil> 2
}

// A version's revision lets another process read it anywhere, at once.
func ExampleMinRevision() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	v, _ := c.Agent("a").Save(ctx, []byte("state"))
	cp, err := c.Agent("a").Restore(ctx, client.MinRevision(v.Revision))
	fmt.Printf("%s %v\n", cp.State, err)
	// Output: state <nil>
}

func ExampleAgent_Versions() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	a := c.Agent("a")
	for range 5 {
		_, _ = a.Save(ctx, []byte("state"))
	}
	for v, err := range a.Versions(ctx, client.Limit(3)) {
		fmt.Println(v.Number, v.Size, err)
	}
	// Output:
	// 5 5 <nil>
	// 4 5 <nil>
	// 3 5 <nil>
}

func ExampleClient_Agents() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	for _, name := range []string{"crew/writer", "crew/editor", "crewman"} {
		_, _ = c.Agent(name).Save(ctx, nil)
	}
	for agent, err := range c.Agents(ctx, "crew") {
		fmt.Println(agent.ID, agent.Head, err)
	}
	// Output:
	// default/crew/editor 1 <nil>
	// default/crew/writer 1 <nil>
}

func ExampleAgent_Show() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	a := c.Agent("a")
	_, _ = a.Save(ctx, []byte("one"))
	_, _ = a.Save(ctx, []byte("two!"))
	info, _ := a.Show(ctx)
	first, _ := a.ShowVersion(ctx, 1)
	fmt.Println(info.Head, info.Version.Size, first.Size)
	// Output: 2 4 3
}

func ExampleAgent_Delete() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	a := c.Agent("a")
	_, _ = a.Save(ctx, []byte("state"))
	fmt.Println(a.Delete(ctx))
	_, err := a.Restore(ctx)
	fmt.Println(errors.Is(err, hawser.ErrNotFound))
	v, _ := a.Save(ctx, []byte("anew"))
	fmt.Println("numbers go on at", v.Number)
	// Output:
	// <nil>
	// true
	// numbers go on at 3
}

func ExampleSaveJSON() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	type plan struct{ Goal string }
	a := c.Agent("planner")
	v, err := client.SaveJSON(ctx, a, plan{Goal: "moor"})
	fmt.Println(v.Number, v.ContentType, err)
	p, err := client.RestoreJSON[plan](ctx, a)
	fmt.Println(p.Goal, err)
	// Output:
	// 1 application/json <nil>
	// moor <nil>
}

// The answer to a save is lost. It is not known whether it was executed, until
// somebody asks.
func ExampleClient_Outcome() {
	cluster := fakecluster.Start(3)
	defer cluster.Stop()
	c, _ := client.Dial(client.Config{
		Endpoints: cluster.Endpoints(), DialOptions: cluster.DialOptions(), RequestTimeout: 100 * time.Millisecond,
	})
	defer func() { _ = c.Close() }()
	ctx := context.Background()

	cluster.SetFault(fakecluster.Always("Save", fakecluster.Swallow)) // executes, never answers
	a := c.Agent("a")
	_, err := a.Save(ctx, []byte("state"))
	unknown, ok := errors.AsType[*hawser.UnknownOutcomeError](err)
	fmt.Println(ok, errors.Is(err, context.DeadlineExceeded))

	cluster.SetFault(nil)
	out, _ := c.Outcome(ctx, unknown.RequestID)
	fmt.Println(out.State, out.Version.Number)
	v, _ := a.Save(ctx, []byte("state"), client.WithRequestID(unknown.RequestID))
	fmt.Println("repeated, still version", v.Number)
	// Output:
	// true true
	// done 1
	// repeated, still version 1
}

func ExampleCluster_Status() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()

	status, _ := c.Cluster().Status(ctx)
	fmt.Println(status.Ready, status.Leader)
	members, _ := c.Cluster().Members(ctx)
	for _, m := range members {
		fmt.Println(m.Name, m.Role, m.Liveness)
	}
	fmt.Println(c.Cluster().TransferLeadership(ctx, "n2-00000002"))
	// Output:
	// true n1-00000001
	// n1 voter alive
	// n2 voter alive
	// n3 voter alive
	// <nil>
}
