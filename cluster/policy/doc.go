// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package policy decides what a leader does about the members of its cluster,
// and what a voter does about a leader that seems to be gone. It is pure:
// [Decide] maps an [Input] to an [Action] and [Elect] an [Electorate] to an
// [Election], with reasons that people can read. It holds no state, starts
// nothing and knows no clock; durations are measured by the caller, which also
// carries actions out.
//
// # Members
//
// The aim is Wanted live voters. A dead voter is one that the leader has had no
// raft contact with for the stabilisation time and that gossip does not see
// either; neither of the two is enough alone. A standby that has followed
// closely for the stabilisation time is promoted in its place, and then the
// dead voter is removed. One change at a time: nothing is decided before the
// previous configuration is committed. Even numbers of voters, which tolerate
// no more failures than the odd number below, are only passed through.
package policy
