// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package agent turns an ordinary Go agent into one that survives: it runs the
// agent's steps in one process at a time, saves what they come to, and goes on
// with it elsewhere when the process dies, hangs or is cut off.
//
//	type state struct{ Pages []string }
//
//	err := agent.Run(ctx, c, agent.Config[state]{Name: "crew/reader"},
//		func(ctx context.Context, t *agent.Turn[state]) error {
//			if len(t.State.Pages) == 3 {
//				return agent.Done
//			}
//			page, err := t.Effect(ctx, fmt.Sprint("page-", len(t.State.Pages)), hawser.OnUnknownRetry, fetch)
//			if err != nil {
//				return err
//			}
//			t.State.Pages = append(t.State.Pages, string(page))
//			return nil
//		})
//
// # One at a time
//
// As many processes as one likes call [Run] for one agent. One of them owns it, the
// others wait, and keep up with its state meanwhile. When the owner ends, the next
// one restores what was saved last and goes on; when it is lost without a word,
// that takes its time to live. A process that is not sure any more that it owns the
// agent has the context of its step ended before another one may be given it, and
// then waits like the others. What it tries to write after that is refused by the
// cluster.
//
// # What is done again
//
// A step is done again from the state that was saved last when the process ends
// before the next save. What a step does elsewhere is therefore to be an effect
// ([Turn.Effect]), whose result is recorded and not asked for twice; what it takes
// from its inbox and what it sends to others belongs to the save that follows
// ([Turn.Message], [Turn.Send]).
//
// # Restoring
//
// The state is that of the newest version that is whole, that decodes, and that
// passes the agent's own check. If that is not the newest one, the agent is rolled
// back to it, by a version of its own, and an event says so; the versions between
// stay in the history, and the newest of them is pinned. A version of a schema to
// which no migration leads is no damage but another build's: Run fails with a
// *SchemaError and writes nothing.
//
// The package adds nothing to what the client can do, but for the loop.
package agent
