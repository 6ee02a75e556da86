// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/agent"
	"github.com/hawserdb/hawser/hawsertest"
)

// An agent that reads three pages. The first process dies after the second call,
// before it has saved what it got; the next one asks for the third page only.
func ExampleRun() {
	endpoint, stop := hawsertest.StartExample()
	defer stop()
	type state struct{ Pages []string }
	ctx, crash := context.WithCancel(context.Background())
	fetch := func(_ context.Context, key string) ([]byte, error) {
		fmt.Println("fetch")
		return []byte("a page"), nil
	}
	run := func(ctx context.Context, crashes bool) error {
		c, err := client.Dial(client.Config{Endpoints: []string{endpoint}})
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		cfg := agent.Config[state]{Name: "crew/reader", Logger: slog.New(slog.DiscardHandler)}
		return agent.Run(ctx, c, cfg, func(ctx context.Context, t *agent.Turn[state]) error {
			n := len(t.State.Pages)
			if n == 3 {
				return agent.Done
			}
			page, err := t.Effect(ctx, fmt.Sprint("page-", n), hawser.OnUnknownRetry, fetch)
			if err != nil {
				return err
			}
			if crashes && n == 1 {
				crash()
				return ctx.Err()
			}
			t.State.Pages = append(t.State.Pages, string(page))
			return nil
		})
	}
	fmt.Println("first:", run(ctx, true))
	fmt.Println("second:", run(context.Background(), false))
	// Output:
	// fetch
	// fetch
	// first: <nil>
	// fetch
	// second: <nil>
}
