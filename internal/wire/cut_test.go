// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"reflect"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
)

// Claim: a cut, and what is said of an agent that is rolled back, come back from
// their messages as they were.
func TestConvert_CutRoundTrips(t *testing.T) {
	at, id := time.Unix(1_700_000_000, 7).UTC(), hawser.AgentID{Namespace: "team", Name: "a"}
	cut := hawser.Cut{
		Name: id, Label: "l", ByPrefix: true, Prefix: "p", CreatedAt: at, Revision: 5, Size: 2, Agents: []hawser.CutAgent{{Agent: id, Number: 6, Problem: "q"}},
		RolledBack: 7, Rollbacks: []hawser.CutRollback{{Nonce: hawser.Nonce{8}, Revision: 9, Time: at, Instance: "i", Reason: "r", Size: 10, LeftOut: 11}},
	}
	if got := CutFromProto(CutToProto(cut)); !reflect.DeepEqual(got, cut) {
		t.Errorf("got %+v, want %+v", got, cut)
	}
	a := hawser.AgentRollback{Agent: id, Number: 1, Head: 2, Made: 3, Epoch: 4, Owner: "o", Txns: []string{"t"}, Problem: "p"}
	if got := AgentRollbackFromProto(AgentRollbackToProto(a)); !reflect.DeepEqual(got, a) {
		t.Errorf("got %+v, want %+v", got, a)
	}
	for kind, want := range map[reflect.Type]int{reflect.TypeFor[hawser.Cut](): 10, reflect.TypeFor[hawser.CutAgent](): 3, reflect.TypeFor[hawser.CutRollback](): 7, reflect.TypeFor[hawser.AgentRollback](): 8} {
		if kind.NumField() != want {
			t.Errorf("%v has %d fields: add the new one to the conversion and to this test", kind, kind.NumField())
		}
	}
}
