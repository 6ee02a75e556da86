// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
)

// Claim: a ClaimAny that was executed and comes again, because its answer was lost,
// claims no more, and lists all that the lease has; one that claims nothing makes no
// log entry; what makes no sense is refused.
func TestService_ClaimAny(t *testing.T) {
	s, l := start(t)
	for i := range 9 {
		if _, err := s.Save(t.Context(), saveOf(fmt.Sprint("crew/", i), []byte("x"), 0)); err != nil {
			t.Fatal(err)
		}
	}
	id := hawser.LeaseID{1}
	if _, err := s.OpenLease(t.Context(), &hawserv1.OpenLeaseRequest{Lease: id[:], Instance: "i", Ttl: durationpb.New(time.Second)}); err != nil {
		t.Fatal(err)
	}
	request := func(known, more uint32) *hawserv1.ClaimAnyRequest {
		return &hawserv1.ClaimAnyRequest{Lease: id[:], Prefix: "crew", Known: known, More: more}
	}
	l.call, l.fail = 0, func(call int, _ fsm.Command) (bool, error) {
		if call == 1 {
			return true, hawser.ErrOutcomeUnknown
		}
		return false, nil
	}
	ask := func(known, more uint32, want int) {
		t.Helper()
		resp, err := s.ClaimAny(t.Context(), request(known, more))
		if err != nil || len(resp.GetClaims()) != want || resp.GetAgents() != 9 {
			t.Errorf("known %d, %d more: %v, %v; want %d claims", known, more, resp, err, want)
		}
	}
	ask(0, 5, 5) // executed, asked again by the service itself, and listed
	if l.call != 1 {
		t.Errorf("%d commands for one claim", l.call)
	}
	ask(0, 5, 5)
	ask(5, 0, 0)
	if l.call != 1 {
		t.Errorf("%d commands, though nothing was to be claimed", l.call)
	}
	ask(5, 100, 4)
	ask(9, 1, 0)
	for _, r := range []*hawserv1.ClaimAnyRequest{
		{Prefix: "crew"},
		{Lease: id[:], Prefix: "crew//x"},
		request(maxCrew+1, 0), request(0, maxCrew+1),
	} {
		if _, err := s.ClaimAny(t.Context(), r); hawser.CodeOf(err) != hawser.CodeInvalid {
			t.Errorf("%v: %v", r, err)
		}
	}
	r := request(0, 1)
	r.Generation = 41
	if _, err := s.ClaimAny(t.Context(), r); hawser.CodeOf(err) != hawser.CodeWrongGeneration {
		t.Errorf("of another generation: %v", err)
	}
}
