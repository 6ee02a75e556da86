// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"testing"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
)

// A node that has applied nothing yet is behind, and not of another life: callers
// give up on the latter.
func TestSameGeneration(t *testing.T) {
	for _, c := range []struct {
		asked, has uint64
		want       hawser.Code
	}{
		{0, 0, hawser.CodeUnavailable},
		{0, 7, hawser.CodeOf(nil)},
		{7, 7, hawser.CodeOf(nil)},
		{7, 0, hawser.CodeUnavailable},
		{7, 8, hawser.CodeWrongGeneration},
	} {
		err := sameGeneration(&hawserv1.ReadOptions{Generation: c.asked}, fsm.Info{Generation: hawser.Generation(c.has)})
		if got := hawser.CodeOf(err); got != c.want {
			t.Errorf("asked for generation %d at a node of %d: %v, want %v", c.asked, c.has, err, c.want)
		}
	}
}

// A node that holds nothing yet says neither that an agent is not there, nor that
// leases and page tokens are of another life.
func TestEmptyNode(t *testing.T) {
	s, _ := start(t)
	empty, err := fsm.Open(t.TempDir(), fsm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = empty.Close() })
	b := *s.backend.Load()
	b.Machine = empty
	s.Start(&b)
	token := page{kind: pageAgents, generation: 42, scope: "default\x00"}.token("a")
	for what, call := range map[string]func() error{
		"restore": func() error {
			_, err := restore(t.Context(), s, &hawserv1.RestoreRequest{Agent: &hawserv1.Agent{Name: "a"}})
			return err
		},
		"list": func() error {
			_, err := s.Agents(t.Context(), &hawserv1.AgentsRequest{PageToken: token})
			return err
		},
		"keep alive": func() error {
			_, err := b.renew(t.Context(), &hawserv1.KeepAliveRequest{Generation: 42})
			return err
		},
	} {
		if err := call(); hawser.CodeOf(err) != hawser.CodeUnavailable {
			t.Errorf("%s: %v", what, err)
		}
	}
}
