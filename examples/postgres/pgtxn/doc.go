// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package pgtxn lets an agent change a PostgreSQL database and its own state in
// one transaction, through PREPARE TRANSACTION and COMMIT PREPARED.
//
//	p, err := pgtxn.New(ctx, pgtxn.Config{Client: c, Claim: own, Pool: pool, Work: work})
//	err = p.Participate(ctx) // until the claim is lost
//
// # What is promised
//
// What [Work] did in PostgreSQL becomes permanent if the transaction is
// committed, and is undone if it is aborted: whoever is killed, stands still or
// changes in between, as long as PostgreSQL and a majority of the cluster come
// back with their disks and somebody claims the agent. It is done at most once
// for each id of a transaction, also when the id is used again after the cluster
// has forgotten it.
//
// # What is not
//
// The two are not seen to change at one moment. The cluster decides, the agent's
// new version is visible, and PostgreSQL follows a moment later: when the agent's
// owner has been told, or, if it was killed, when the next one has claimed the
// agent. Until then others read the old rows, and who wants to change them waits:
// from the vote to the end the rows are locked. A reader that needs both waits
// until the transaction is done (hawser.TxnInfo.Done).
//
// Agents that lock the same rows can wait for each other: one holds them for a
// transaction that waits for the other one's vote, and that one has to do with an
// earlier transaction first, which wants the rows. There is no deadlock detection;
// a lock is waited for as long as Config.LockTimeout, again and again, and at its
// deadline the transaction is aborted. Let each agent have rows of its own.
//
// A commit that somebody else has rolled back by hand (ROLLBACK PREPARED), or
// that a restored backup of the database does not have, cannot be done any more.
// [Participant.Commit] finds that out, and does not acknowledge it. What was
// prepared in another generation of the cluster is in doubt: it is reported and
// left for a person to decide. So is what an operator has resolved in the agent's
// place: it is finished as long as the cluster remembers the transaction, and
// taken for aborted once it was forgotten.
//
// Names of what is prepared are unique in a whole server, so an agent can take
// part in one database of a server only.
//
// PostgreSQL refuses to prepare a transaction that used temporary tables, WITH
// HOLD cursors, LISTEN or NOTIFY.
//
// # How
//
// The agent's owner prepares under a name that says all: cluster, generation,
// transaction, agent and the epoch of its claim ([hawser.PreparedID]). The
// decision says which epoch's vote was counted. So whoever finds something
// prepared can tell what becomes of it, from a linearizable read: under the
// counted epoch it is committed or rolled back as decided, or left alone while
// there is no decision; under an older one it is void and rolled back. Nobody
// touches what a newer owner has prepared, so an owner that stood still does no
// harm when it goes on. It is looked for at the start, every ten seconds, and
// before anything is prepared, because what is void still holds its locks.
//
// With its work each transaction inserts a row into the table
// hawser_transactions. By it a second execution is refused, and a commit that
// finds nothing prepared knows whether it was done. Rows of transactions whose
// ids nobody will use again may be deleted.
//
// [Participant.Participate] runs one goroutine, which looks for what is left
// over, and joins it before it returns.
package pgtxn
