// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package client saves and restores the states of AI agents in a Hawser
// cluster.
//
//	c, err := client.Dial(client.Config{Endpoints: []string{"127.0.0.1:7420"}})
//	agent := c.Agent("researcher-7")
//	cp, err := agent.Restore(ctx)   // hawser.ErrNotFound at the first start
//	v, err := agent.Save(ctx, state)
//
// # Conditions
//
// A handle from [Client.Agent] stands for one line of work. Its [Agent.Save]
// is conditional on the head that the same handle last restored or saved; a
// handle that has seen nothing may only create. Whoever else saved in between
// causes a *hawser.ConflictError, and the handle keeps its old position until
// it restores. [ExpectVersion] names another condition, [Overwrite] none.
//
// # Repeating and unknown outcomes
//
// Every mutating call carries a request id, made once. The client repeats the
// call under the same id at another node, and the cluster executes it once.
// When time runs out after an attempt was sent and no answer came, the error
// is a *hawser.UnknownOutcomeError: the call may have been executed. It is
// never reported as failed, and a call that was certainly not executed is
// never reported as unknown. [Client.Outcome] asks what became of it,
// [WithRequestID] repeats it, from another process if need be.
//
// A handle remembers the id of its last unknown save, rollback or delete, and
// nothing else of it. Its next Save or Rollback first asks the cluster for that outcome: if it was
// executed, the handle's position moves to what it made, otherwise it stays,
// and since both are conditional on the same head at most one of them can take
// effect. So an agent that goes on after an unknown outcome neither loses a
// step nor conflicts with itself. (Keeping the content to repeat it would tell
// no more and cost the memory of a whole state for each handle.)
//
// # Differences and large states
//
// A save costs what changed. The client keeps a copy of the newest state that
// it saved or restored of each agent, all of them within
// [Config.MaxCachedBytes], and sends the next save as the difference to it,
// after it rebuilt the state from that and compared. Where it holds no copy of
// the head, where the difference is not worth it or a chain of them gets long,
// and where a node asks for it, it sends the whole state; callers see none of
// that. A restore fetches only what came after the copy, and checks the SHA-256
// of the whole state in any case. Above 128 KiB what is sent goes in parts. A
// save needs memory for the state, the copy before and the copy after; packing
// and sending a large one adds a few parts. A restore needs it for two states
// beside the copy.
//
// # Time
//
// [Config.RequestTimeout] is the budget of a whole call with all its
// repetitions, unless the context ends earlier. A state of more than 128 KiB
// adds twice the time that it takes at 10 MB/s, so that 256 MiB get about a
// minute. One attempt gets 500 ms plus the time its bytes take at 10 MB/s, twice
// that in each round through the endpoints, and goes on at another endpoint;
// where there is no other, it gets all that is left. How much a restore will
// bring is known when its answer begins; from then on it has the time that this
// takes, even beyond the budget. [Client.Verify], [Client.Export] and
// [Client.Import] are bounded by their context alone once they have begun.
//
// # Nodes
//
// Any node takes any call, so one endpoint of three is enough. The client
// learns from every answer who leads and sends writes and linearizable reads
// there, once a connection to it stands. Endpoints that fail are tried last
// for a while.
//
// All types are safe for concurrent use. The package starts no goroutine of
// its own; gRPC's end with [Client.Close].
package client
