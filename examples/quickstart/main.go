// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Quickstart is an agent that counts. It saves its state after each step and
// goes on at the next step whenever it is started again, however it ended:
//
//	go run ./cmd/hawser dev --nodes 3      # in another terminal
//	go run ./examples/quickstart           # kill -9 it, and run it again
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

type state struct{ Step int }

func main() {
	endpoints := strings.Split(cmp.Or(os.Getenv("HAWSER_ENDPOINTS"), client.DefaultEndpoint), ",")
	c, err := client.Dial(client.Config{Endpoints: endpoints})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	agent := c.Agent("quickstart")
	s, err := client.RestoreJSON[state](ctx, agent)
	if err != nil && !errors.Is(err, hawser.ErrNotFound) {
		log.Fatal(err)
	}
	for {
		s.Step++ // an agent thinks and acts here
		v, err := client.SaveJSON(ctx, agent, s)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("step %d saved as version %d\n", s.Step, v.Number)
		time.Sleep(500 * time.Millisecond)
	}
}
