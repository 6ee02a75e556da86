// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package membership decides who belongs to a cluster: it founds one, joins
// one, and keeps the number of voters where it should be.
//
//   - [Directory] is a node's data directory: locked, private, and of exactly
//     one node. Its node.json ([NodeFile], [State]) holds who the node is,
//     which cluster it belongs to or promised itself to, and where the others are.
//   - [Founder] founds a cluster by promise, answers the promises that others
//     ask for, and falls over to joining where the cluster exists already.
//   - [Joiner] asks to be taken in; [Taker] is the leader's side of it.
//   - [Book] knows the peer addresses of the members.
//   - [Tracker] asks the members how far they are, [Controller] lets package
//     policy decide about them once a second, [Manager] does what operators ask.
//
// # Founding
//
// N nodes are started with the same start line: N peer addresses. The node at
// the lowest address coordinates. It asks who answers at each address; when
// all N answer, none belongs to a cluster and all have the same start line, it
// promises itself, durably, to a new cluster id, and asks each of the others
// for the same durable promise. When all N hold it, and only then, the
// coordinator writes the first configuration with all N as voters.
//
// A node speaks raft only under the cluster id that it belongs to or promised.
// A promise may be replaced while the node has no raft state, which happens
// when the coordinator lost its disk. Three rules make that safe:
//
//   - Cluster ids are ordered ([ClusterID.Compare]) and a node's promises only
//     go up. A coordinator mints an id above every id that it was told of.
//   - Raft is stopped while a promise is replaced, and the node looks for raft
//     state again after it stopped.
//   - A node that has raft state, or was taken in, never promises anything.
//
// A node also calls the coordinator's address back before it promises. Safety
// does not need that; it keeps a coordinator that lives from losing its
// promises to a request that was delayed, or to a stranger.
//
// Invariant: of all cluster ids that were ever founded from one start line, at
// most one has a majority of its founders able to vote. Say X < Y were both
// founded, and a node m voted under X and is a founder of Y. Promises go up,
// so m promised X before Y; it had no raft state when it promised Y, and never
// spoke under X afterwards, so it cannot have voted under X. So nobody who
// voted under X is a founder of Y, and a majority of X's founders is gone: it
// lost its disks. (If a majority of disks was put aside, and comes back after
// another cluster was founded on empty ones, both can live. Nothing that the
// nodes know can tell that case from lost disks.)
//
// # Goroutines
//
// Founder.Run and Joiner.Run work in the caller's goroutine and join what they
// start before they return. Tracker and Controller own one goroutine each (the
// tracker also one per question asked), joined by Close.
package membership
