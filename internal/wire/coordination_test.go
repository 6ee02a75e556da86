// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// Claim: holdings and events come back from their messages unchanged, with
// every field set.
func TestConvert_CoordinationRoundTrips(t *testing.T) {
	name := hawser.AgentID{Namespace: "team", Name: "a/b"}
	since := time.Unix(1_700_000_000, 5).UTC()
	holding := hawser.Holding{
		Resource: hawser.Resource{Kind: hawser.ResourceLock, Name: name}, Capacity: 3, Waiting: 7, Epoch: 9, Fenced: true,
		Holders: []hawser.Holder{{Lease: hawser.LeaseID{1}, Instance: "i", Token: 4, TTL: time.Second, Since: since, Ending: true, Reason: "why", Health: hawser.HealthDegrading}},
		Waiters: []hawser.Waiter{{Lease: hawser.LeaseID{2}, Instance: "j", Priority: -3, Since: since}},
	}
	if got := HoldingFromProto(HoldingToProto(holding)); !reflect.DeepEqual(got, holding) {
		t.Errorf("holding: got %+v, want %+v", got, holding)
	}
	event := hawser.Event{
		Kind: hawser.EventClaimEnded, Revision: 8, Time: since, Name: name, Number: 1, Last: 2, Size: 3, Token: 4, Instance: "i", Reason: "r", Lease: hawser.LeaseID{5},
		Txn: "t", Effect: "e",
	}
	if got := EventFromProto(EventToProto(event)); !reflect.DeepEqual(got, event) {
		t.Errorf("event: got %+v, want %+v", got, event)
	}
	if n := reflect.TypeFor[hawser.Event]().NumField(); n != 13 {
		t.Errorf("Event has %d fields: add the new one to the conversion and to this test", n)
	}
}

// Claim: what cannot name a lease or a resource is refused as invalid.
func TestConvert_CoordinationRefuses(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 16), make([]byte, 15), make([]byte, 17)} {
		if _, err := LeaseFromProto(b); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("lease %x: %v", b, err)
		}
	}
	name := &hawserv1.Agent{Namespace: "team", Name: "a"}
	for _, m := range []*hawserv1.Resource{
		nil, {Name: name}, {Kind: 3, Name: name}, {Kind: 257, Name: name}, {Kind: -255, Name: name}, {Kind: hawserv1.ResourceKind_RESOURCE_KIND_LOCK},
	} {
		if _, err := ResourceFromProto(m); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("%v: %v", m, err)
		}
	}
}

// Claim: the enums of the root package and of the API are the same numbers.
func TestConvert_EventKindsAgree(t *testing.T) {
	for _, kind := range hawser.EventKinds() {
		if got := hawserv1.EventKind(kind).String(); got != "EVENT_KIND_"+kind.String() {
			t.Errorf("%v is %s on the wire", kind, got)
		}
	}
}
