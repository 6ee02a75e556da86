// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package call makes the calls of an agent to others (agents, models, tools) hold
// what failures of the others do: attempts that take too long end, what is worth it
// is tried again, a target that fails is left alone for a while, and neither calls
// nor their repetitions can use up what there is.
//
//	p, err := call.New(call.Config{})
//	answer, err := call.Do(ctx, p, "model", func(ctx context.Context) (string, error) { return ask(ctx, question) })
//
// One [Policy] stands for all calls of a process; each target has a breaker, a
// bulkhead and a rate limit of its own. [Policy.Transport] and
// [Policy.UnaryInterceptor] put HTTP and gRPC clients under it.
//
// # What is tried again
//
// Errors are of a [Class]. What is [ClassPermanent] is not tried again. What is
// [ClassTransient] did not happen, and is tried again after a pause that doubles and
// is jittered. Of what is [ClassUnknown] nobody can tell whether it has happened: it
// is tried again only if the caller says that it may happen twice ([Idempotent]),
// after the plain pause. An error that says nothing is unknown. Calls that change
// something for which that matters are effects: see docs/effects.md.
//
// It is built from failsafe-go, whose policies do the work.
package call
