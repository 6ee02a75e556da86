// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package pgtxn

import (
	"testing"

	"github.com/hawserdb/hawser"
)

var (
	self  = owner{cluster: [16]byte{1, 2, 3, 4}, agent: hawser.AgentID{Namespace: "default", Name: "wallet"}, generation: 7, epoch: 5}
	other = hawser.AgentID{Namespace: "default", Name: "other"}
)

// name is what the agent prepares under in an epoch.
func (o owner) name(txn string, epoch uint64) hawser.PreparedID {
	return hawser.NewPreparedID(o.cluster, o.generation, hawser.TxnID{Namespace: "default", ID: txn}, o.agent, epoch)
}

// stands is a transaction of the agent.
func stands(state hawser.TxnState, vote hawser.Vote, epoch uint64) hawser.TxnInfo {
	return hawser.TxnInfo{State: state, Participants: []hawser.TxnParticipant{
		{Agent: other, Vote: hawser.VoteYes, Epoch: 9}, {Agent: self.agent, Vote: vote, Epoch: epoch},
	}}
}

// Claim: what was prepared counts under the epoch that has voted, is void under
// every other one, and is left alone while it may still come to count.
func TestFate(t *testing.T) {
	const none, yes = hawser.VoteNone, hawser.VoteYes
	for _, c := range []struct {
		what  string
		txn   hawser.TxnInfo
		epoch uint64 // under which it is prepared; the owner has 5
		want  fate
	}{
		{"being prepared", stands(hawser.TxnPending, none, 0), 5, pending},
		{"by an owner before, who can vote no more", stands(hawser.TxnPending, none, 0), 4, toRollBack},
		{"voted", stands(hawser.TxnPending, yes, 5), 5, pending},
		{"voted by the owner before", stands(hawser.TxnPending, yes, 4), 4, pending},
		{"voted by the owner before, and prepared by this one too", stands(hawser.TxnPending, yes, 4), 5, toRollBack},
		{"voted by this one, and prepared by the owner before", stands(hawser.TxnPending, yes, 5), 4, toRollBack},
		{"all have voted", stands(hawser.TxnPrepared, yes, 5), 5, pending},
		{"committed", stands(hawser.TxnCommitted, yes, 5), 5, toCommit},
		{"committed, the owner before has voted", stands(hawser.TxnCommitted, yes, 4), 4, toCommit},
		{"committed, under another epoch", stands(hawser.TxnCommitted, yes, 4), 5, toRollBack},
		{"aborted", stands(hawser.TxnAborted, yes, 5), 5, toRollBack},
		{"aborted before the vote", stands(hawser.TxnAborted, none, 0), 5, toRollBack},
		{"another transaction of that id", hawser.TxnInfo{State: hawser.TxnPending, Participants: []hawser.TxnParticipant{{Agent: other}}}, 5, toRollBack},
	} {
		if got := self.fate(self.name("t", c.epoch), c.txn); got != c.want {
			t.Errorf("%s: fate %d, want %d", c.what, got, c.want)
		}
	}
}
