// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// Claim: a transaction comes back from its message as it was.
func TestConvert_TransactionRoundTrips(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(1_700_000_000+s, 7).UTC() }
	info := hawser.TxnInfo{
		ID: hawser.TxnID{Namespace: "team", ID: "t-1"}, State: hawser.TxnCommitted, Done: true, Manual: true, BegunAt: at(1), DeadlineAt: at(2),
		DecidedAt: at(3), Reason: "why", Revision: 9, Kept: true,
		Participants: []hawser.TxnParticipant{{
			Agent: hawser.AgentID{Namespace: "team", Name: "a"}, Vote: hawser.VoteYes, Reason: "r", Epoch: 4, Version: 5, Acknowledged: true, Resolved: true,
			Waiting: hawser.TxnID{Namespace: "team", ID: "t-0"},
		}},
	}
	if got := TxnFromProto(TxnToProto(info)); !reflect.DeepEqual(got, info) {
		t.Errorf("got %+v, want %+v", got, info)
	}
	if n, m := reflect.TypeFor[hawser.TxnInfo]().NumField(), reflect.TypeFor[hawser.TxnParticipant]().NumField(); n != 11 || m != 8 {
		t.Errorf("TxnInfo has %d fields, TxnParticipant %d: add the new one to the conversion and to this test", n, m)
	}
}

// Claim: the enums of the root package and of the API are the same numbers.
func TestConvert_TransactionStatesAgree(t *testing.T) {
	for s := hawser.TxnPending; s <= hawser.TxnAborted; s++ {
		if got := hawserv1.TransactionState(s).String(); got != "TRANSACTION_STATE_"+s.String() {
			t.Errorf("%v is %s on the wire", s, got)
		}
	}
	for vote, want := range map[hawser.Vote]hawserv1.TransactionVote{
		hawser.VoteNone: hawserv1.TransactionVote_TRANSACTION_VOTE_NONE, hawser.VoteYes: hawserv1.TransactionVote_TRANSACTION_VOTE_YES,
		hawser.VoteNo: hawserv1.TransactionVote_TRANSACTION_VOTE_NO,
	} {
		if hawserv1.TransactionVote(vote) != want {
			t.Errorf("%v is %d on the wire", vote, want)
		}
	}
}

// Claim: times that cannot be on the cluster's clock are none.
func TestTimeFromProto_RefusesAbsurdTimes(t *testing.T) {
	for _, m := range []*timestamppb.Timestamp{
		nil, {Seconds: -1}, {Nanos: -1}, {Nanos: 2_000_000_000}, {Seconds: 1 << 62}, timestamppb.New(time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)),
	} {
		if got := TimeFromProto(m); got != 0 {
			t.Errorf("%v: %d", m, got)
		}
	}
	if got := TimeFromProto(&timestamppb.Timestamp{Seconds: 5, Nanos: 6}); got != 5e9+6 {
		t.Error(got)
	}
}
