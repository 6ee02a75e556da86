// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"testing"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// Only so many are under way at a time; the others are told to come again.
func TestImpact_Places(t *testing.T) {
	s, _ := start(t)
	if _, err := s.Save(t.Context(), saveOf("a", []byte("x"), 0)); err != nil {
		t.Fatal(err)
	}
	ask := &hawserv1.ImpactRequest{Agent: &hawserv1.Agent{Name: "a"}, Version: 1}
	for range maxImpacts {
		s.impacts <- struct{}{}
	}
	if _, err := s.Impact(t.Context(), ask); !errors.Is(err, hawser.ErrOverloaded) {
		t.Fatalf("with all places taken: %v", err)
	}
	<-s.impacts
	for range 2 { // the place is given back
		if _, err := s.Impact(t.Context(), ask); err != nil {
			t.Fatal(err)
		}
	}
}
