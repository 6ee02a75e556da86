// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package janitor does a cluster's housekeeping.
//
// A [Janitor] proposes what only the leader does: it removes the versions that
// retention does not keep, gives segments a new keyframe so that what lies dead
// before it can go, reclaims what deleted agents have left behind, removes
// uploads that were given up and the counters of agents that were deleted long
// ago, and raises the feature level once every member knows it. All of it is
// decided by the state machine, in bounded commands, so two janitors that both
// believe to lead do no harm.
//
// It paces itself by how long its own commands take, so that saves hardly
// notice it. Keyframes are built here, off the path of commands, and compared
// with the state that they stand for; what they replace may have changed
// meanwhile, then the machine refuses them.
//
// A [Sweeper] nudges transactions that are past their deadline, ten times a
// second, and removes those that are over.
//
// A [Compactor], on every node, gives back the disk of what was removed.
//
// Each of the three owns one goroutine, ended and joined by its Close.
package janitor
