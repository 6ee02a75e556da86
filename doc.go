// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package hawser is the vocabulary of Hawser, a Raft-replicated store for the
// state of AI agents: the names, numbers, limits and errors that servers,
// clients and tools share. It holds no behaviour and imports none of Hawser's
// other packages.
//
// # Words
//
//   - An agent is a named identity, namespace/name, whoever runs it ([AgentID]).
//   - An instance is one running process of an agent.
//   - A version is one immutable saved state of an agent ([Version]), numbered
//     from 1 and never renumbered; the newest is the head.
//   - A revision counts the commands that changed the cluster ([Revision]).
//   - A generation is one life of the cluster ([Generation]); numbers are
//     unique within it.
//   - A request id makes a mutating call safe to repeat ([RequestID]).
//   - A fence proves ownership of an agent or a lock ([Fence]).
//   - A voter is a node that votes; a standby replicates without a vote.
//
// # Errors
//
// Every error of Hawser carries a [Code]. Test for one with errors.Is and the
// sentinels (errors.Is(err, hawser.ErrConflict)); take more out of it with
// errors.As and the typed errors ([ConflictError], [UnknownOutcomeError]).
// [Code.Retry] says whether repeating the call can help.
//
// [Client programs] import the client package, which returns these types.
//
// [Client programs]: https://pkg.go.dev/github.com/hawserdb/hawser/client
package hawser
