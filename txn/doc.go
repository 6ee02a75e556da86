// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package txn is two-phase commit across agents, without the cluster: what a
// vote, a decision, a deadline or an acknowledgement makes of a transaction.
//
//	          vote yes, others missing
//	            +----+
//	            |    v
//	Begin --> PENDING -- last vote yes --> COMMITTED -- all acknowledged --> done
//	            |    |                         ^
//	            |    +-- last vote yes, -------|---------+
//	            |        manual                | decide  |
//	            |                           PREPARED <---+
//	            | vote no, abort,              |
//	            | deadline                     | abort, deadline
//	            v                              |
//	         ABORTED <-------------------------+
//	            |
//	            +-- all that voted yes acknowledged --> done
//
// It is presumed abort (Mohan, Lindsay, Obermarck: Transaction Management in
// the R* Distributed Database Management System, 1986) with a coordinator whose
// state is in the replicated log: the decision is an entry, so that no
// coordinator can be lost with it, and nobody who voted yes stays in doubt for
// longer than it takes to ask any node.
//
// # Rules
//
// A vote is cast once; a decision is made once. The entry that takes the last
// yes commits, unless the initiator asked to decide itself. One no, an abort
// before the decision, and the deadline abort. The deadline is checked first by
// whatever is done to an undecided transaction, against the time of that entry
// and nobody's clock, so a nudge ([Expire]) that comes late changes nothing but
// when others learn of it. Who votes yes is bound until the decision, whoever
// owns the agent then.
//
// [Step] knows no clock, no other transactions and no agents: that it is the
// transaction's turn at an agent, and that the voter owns it, is for the caller
// to see to. It checks [Txn.Check] before and after, and that a step takes
// nothing back.
package txn
