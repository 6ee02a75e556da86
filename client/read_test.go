// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/internal/fakecluster"
	"github.com/hawserdb/hawser/internal/record"
)

// Whatever a node sends instead of the version that was saved is noticed.
func TestRestore_CorruptContent(t *testing.T) {
	other := record.EncodeKeyframe([]byte("another state"))
	for name, damage := range map[string]func(r *hawserv1.RestoreResponse){
		"bit flip":        func(r *hawserv1.RestoreResponse) { r.Keyframe.Data[0] ^= 1 },
		"cut short":       func(r *hawserv1.RestoreResponse) { r.Keyframe.Data = nil },
		"nothing":         func(r *hawserv1.RestoreResponse) { r.Keyframe = nil },
		"wrong size":      func(r *hawserv1.RestoreResponse) { r.Keyframe.Size++ },
		"wrong encoding":  func(r *hawserv1.RestoreResponse) { r.Keyframe.Encoding = 9 },
		"wrong hash":      func(r *hawserv1.RestoreResponse) { r.Version.Sha256[0] ^= 1 },
		"another agent":   func(r *hawserv1.RestoreResponse) { r.Version.Agent.Name = "b" },
		"another version": func(r *hawserv1.RestoreResponse) { r.Version.Number++ },
		"no version":      func(r *hawserv1.RestoreResponse) { r.Version = nil },
		"another state": func(r *hawserv1.RestoreResponse) {
			r.Keyframe = &hawserv1.Payload{Encoding: hawserv1.Encoding(other.Encoding), Data: other.Data, Crc32C: other.CRC32C, Size: other.Size}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, c := start(t, 1)
			a := c.Agent("a")
			save(t, a)
			cluster.SetFault(fakecluster.Always("Restore", func(_ context.Context, call fakecluster.Call) (any, error) {
				resp, err := call.Execute()
				if err != nil {
					return nil, err
				}
				damage(resp.(fakecluster.Messages)[0].(*hawserv1.RestoreResponse))
				return resp, nil
			}))
			other := dial(t, cluster).Agent("a") // has no copy of what was saved
			cp, err := other.Restore(t.Context(), client.AtVersion(1))
			wantError(t, err, hawser.ErrCorrupt)
			if cp.State != nil || other.Head() != 0 {
				t.Errorf("got %q, head %d", cp.State, a.Head())
			}
		})
	}
}

// A size that would not fit is refused before memory is taken.
func TestRestore_DeclaredSizeIsBounded(t *testing.T) {
	cluster, c := start(t, 1)
	a := c.Agent("a")
	save(t, a)
	cluster.SetFault(fakecluster.Always("Restore", func(_ context.Context, call fakecluster.Call) (any, error) {
		resp, err := call.Execute()
		if err != nil {
			return nil, err
		}
		resp.(fakecluster.Messages)[0].(*hawserv1.RestoreResponse).Keyframe.Size = 1 << 40
		return resp, nil
	}))
	_, err := dial(t, cluster).Agent("a").Restore(t.Context())
	wantError(t, err, hawser.ErrCorrupt)
}

// Reads are repeated after any fault; they never are unknown.
func TestRestore_IsRepeated(t *testing.T) {
	for name, fault := range map[string]fakecluster.Fault{
		"broke": fakecluster.Break, "no answer": fakecluster.Hang, "unavailable": fakecluster.Refuse(hawser.CodeUnavailable),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster, c := start(t, 3)
				save(t, c.Agent("a"))
				cluster.SetFault(fakecluster.Script("Restore", fault, fault, fault, fault))
				if _, err := c.Agent("a").Restore(t.Context()); err != nil {
					t.Error(err)
				}
				cluster.SetFault(fakecluster.Always("Restore", fault))
				_, err := c.Agent("a").Restore(t.Context())
				wantError(t, err, context.DeadlineExceeded)
				wantError(t, err, hawser.ErrUnavailable)
				if errors.Is(err, hawser.ErrOutcomeUnknown) {
					t.Error(err)
				}
			})
		})
	}
}

// Options of a read reach the node.
func TestRead_Options(t *testing.T) {
	cluster, c := start(t, 1)
	a := c.Agent("a")
	save(t, a)
	var got *hawserv1.ReadOptions
	cluster.SetFault(func(_ context.Context, call fakecluster.Call) (any, error) {
		got = call.Request.(interface{ GetRead() *hawserv1.ReadOptions }).GetRead()
		return call.Execute()
	})
	reads := map[string]func(o client.ReadOption) error{
		"restore": func(o client.ReadOption) error { _, err := a.Restore(t.Context(), o); return err },
		"show":    func(o client.ReadOption) error { _, err := a.Show(t.Context(), o); return err },
		"version": func(o client.ReadOption) error { _, err := a.ShowVersion(t.Context(), 1, o); return err },
		"versions": func(o client.ReadOption) error {
			for _, err := range a.Versions(t.Context(), o) {
				return err
			}
			return errors.New("nothing")
		},
		"agents": func(o client.ReadOption) error {
			for _, err := range c.Agents(t.Context(), "", o) {
				return err
			}
			return errors.New("nothing")
		},
	}
	for name, read := range reads {
		if err := read(client.Stale()); err != nil || got.GetConsistency() != hawserv1.Consistency_CONSISTENCY_STALE || got.GetMinRevision() != 0 {
			t.Errorf("%s, stale: %v, %v", name, got, err)
		}
		if err := read(client.MinRevision(7)); err != nil || got.GetConsistency() != hawserv1.Consistency_CONSISTENCY_STALE || got.GetMinRevision() != 7 {
			t.Errorf("%s, min revision: %v, %v", name, got, err)
		}
	}
	if _, err := a.Show(t.Context()); err != nil || got.GetConsistency() != hawserv1.Consistency_CONSISTENCY_LINEARIZABLE {
		t.Errorf("default: %v, %v", got, err)
	}
}

// A list pages through everything once, in order, stops where it is told, and
// asks for no more than it needs.
func TestList_Pages(t *testing.T) {
	cluster, c := start(t, 3)
	a := c.Agent("crew/0000")
	const total = 2*hawser.DefaultPage + 17
	for i := range total {
		save(t, a)
		save(t, c.Agent(fmt.Sprintf("crew/%04d", i+1)))
	}
	save(t, c.Agent("crewman"))
	calls := 0
	cluster.SetFault(func(_ context.Context, call fakecluster.Call) (any, error) {
		calls++
		return call.Execute()
	})
	for limit, want := range map[int][2]int{0: {total, 3}, 1: {1, 1}, hawser.DefaultPage: {hawser.DefaultPage, 1}, 150: {150, 1}, 5000: {total, 1}} {
		calls = 0
		next := uint64(total)
		n := 0
		for v, err := range a.Versions(t.Context(), client.Limit(limit)) {
			if err != nil || v.Number != next {
				t.Fatalf("limit %d: version %d, want %d: %v", limit, v.Number, next, err)
			}
			next--
			n++
		}
		if n != want[0] || calls != want[1] {
			t.Errorf("limit %d: %d versions in %d calls, want %v", limit, n, calls, want)
		}
	}
	var names []string
	for agent, err := range c.Agents(t.Context(), "crew") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, agent.ID.Name)
	}
	if len(names) != total+1 || !slices.IsSorted(names) || slices.Contains(names, "crewman") {
		t.Errorf("%d agents, sorted %v", len(names), slices.IsSorted(names))
	}
	calls = 0
	for range a.Versions(t.Context()) {
		break
	}
	if calls != 1 {
		t.Errorf("leaving at the first version took %d calls", calls)
	}
}

// An error in the middle ends a list, after the items before it.
func TestList_ErrorMidway(t *testing.T) {
	cluster, c := start(t, 3)
	a := c.Agent("a")
	for range hawser.DefaultPage + 1 {
		save(t, a)
	}
	cluster.SetFault(fakecluster.Script("Versions", fakecluster.Pass, fakecluster.Refuse(hawser.CodePermissionDenied)))
	n := 0
	var last error
	for v, err := range a.Versions(t.Context()) {
		if last != nil {
			t.Fatalf("goes on after %v with %v", last, v)
		}
		if last = err; err == nil {
			n++
		}
	}
	wantError(t, last, hawser.ErrPermissionDenied)
	if n != hawser.DefaultPage {
		t.Errorf("%d versions before the error", n)
	}
	for _, err := range c.Agent("nobody").Versions(t.Context()) {
		wantError(t, err, hawser.ErrNotFound)
	}
}

// A node whose pages do not advance does not keep the client for ever.
func TestList_PagesThatDoNotAdvance(t *testing.T) {
	cluster, c := start(t, 1)
	cluster.SetFault(fakecluster.Always("Versions", func(context.Context, fakecluster.Call) (any, error) {
		return &hawserv1.VersionsResponse{NextPageToken: "again", Versions: []*hawserv1.Version{{Number: 1}}}, nil
	}))
	var last error
	n := 0
	for _, err := range c.Agent("a").Versions(t.Context()) {
		last = err
		n++
	}
	wantError(t, last, hawser.ErrInternal)
	if n > 3 {
		t.Errorf("%d items", n)
	}
}

// Show describes without moving the handle.
func TestAgent_Show(t *testing.T) {
	_, c := start(t, 3)
	a := c.Agent("a")
	save(t, a)
	save(t, a)
	other := c.Agent("a")
	info, err := other.Show(t.Context())
	if err != nil || info.Head != 2 || info.Versions != 2 || info.Version == nil || info.Version.Number != 2 || info.ID != a.ID() {
		t.Errorf("show: %+v, %v", info, err)
	}
	v, err := other.ShowVersion(t.Context(), 1)
	wantNumber(t, v, err, 1)
	v, err = other.ShowVersion(t.Context(), 0)
	wantNumber(t, v, err, 2)
	if other.Head() != 0 {
		t.Errorf("showing moved the handle to %d", other.Head())
	}
	_, err = c.Agent("nobody").Show(t.Context())
	wantError(t, err, hawser.ErrNotFound)
	_, err = other.ShowVersion(t.Context(), 9)
	wantError(t, err, hawser.ErrNotFound)
}

// A program that uses the client gets no part of the server with it.
func TestDependencies(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{"", "/api/hawser/v1", "/client", "/internal/delta", "/internal/diff", "/internal/frame", "/internal/record", "/internal/wire"}
	found := 0
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		if rest, ours := strings.CutPrefix(dep, "github.com/hawserdb/hawser"); ours && !slices.Contains(allowed, rest) {
			t.Errorf("the client depends on %s", dep)
		} else if ours {
			found++
		}
		if strings.Contains(dep, "hashicorp") || strings.Contains(dep, "pebble") || strings.Contains(dep, "bbolt") || strings.Contains(dep, "memberlist") {
			t.Errorf("the client depends on %s", dep)
		}
	}
	if found != len(allowed) {
		t.Errorf("found %d of our packages, want %d", found, len(allowed))
	}
}
