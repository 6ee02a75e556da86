// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/call"
	"github.com/hawserdb/hawser/client/registry"
	"github.com/hawserdb/hawser/hawsertest"
)

// An instance registers; a caller finds it, and calls it under a policy.
func Example() {
	endpoint, stop := hawsertest.StartExample()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := client.Dial(client.Config{Endpoints: []string{endpoint}, Instance: "host-1"})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	serving, gone := context.WithCancel(ctx)
	registered := make(chan error, 1)
	go func() {
		registered <- registry.Register(serving, c, registry.Registration{Service: "search", Address: "10.0.0.7:8080", Load: func() float64 { return 0 }})
	}()

	d, err := registry.Open(ctx, c, "search")
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()
	policy, err := call.New(call.Config{Delay: 50 * time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	answer, err := registry.Do(ctx, d, policy, registry.For("customer-7"), true, func(_ context.Context, i registry.Instance) (string, error) {
		return "asked " + i.Name + " at " + i.Address, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer)
	gone()
	if err := <-registered; err != nil {
		log.Fatal(err)
	}
	// Output: asked host-1 at 10.0.0.7:8080
}
