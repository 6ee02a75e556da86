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
// # What an attempt says of its target
//
// A success and a permanent error say that it is well, all other errors that it is not.
// An attempt that the caller ends says nothing, nor does one that was refused here, one
// that panics, or one that began before the breaker has last changed. An open breaker
// lets one attempt through when its time is over; what that says decides, and if it says
// nothing the next one does. With [Config].Shared, what one instance finds out keeps the
// others away too.
//
// # What a call comes to
//
// Do returns an answer or an *[Error]. That tells after how many attempts, with what error
// of the last one, and why there was no other: [ErrOpen], [ErrFull], [ErrRate],
// [ErrBudget], the end of the caller's context, or nothing when the last attempt's error
// decides. When there was no attempt, nothing was sent.
//
// Nothing runs between calls. A hedge runs in a goroutine that ends with its f.
//
// It is built from failsafe-go: retries, hedges, bulkheads, rate limits and the window in
// which failures are counted are the library's, the states of a breaker and the retry
// budget are not.
package call
