// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/internal/fakecluster"
)

// start returns a fake cluster of n nodes and a client of the endpoints named
// by index, of all of them by default.
func start(t *testing.T, n int, endpoints ...int) (*fakecluster.Cluster, *client.Client) {
	t.Helper()
	cluster := fakecluster.Start(n)
	t.Cleanup(cluster.Stop)
	return cluster, dial(t, cluster, endpoints...)
}

func dial(t *testing.T, cluster *fakecluster.Cluster, endpoints ...int) *client.Client {
	t.Helper()
	all := cluster.Endpoints()
	chosen := all
	if len(endpoints) > 0 {
		chosen = nil
		for _, i := range endpoints {
			chosen = append(chosen, all[i])
		}
	}
	return dialWith(t, cluster, client.Config{Endpoints: chosen})
}

// dialWith returns a client with what cfg says beside how to reach the cluster.
func dialWith(t *testing.T, cluster *fakecluster.Cluster, cfg client.Config) *client.Client {
	t.Helper()
	if cfg.Endpoints == nil {
		cfg.Endpoints = cluster.Endpoints()
	}
	cfg.Instance, cfg.DialOptions = "test", cluster.DialOptions()
	c, err := client.Dial(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func wantError(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want one that matches %v", err, target)
	}
}

func wantNumber(t *testing.T, v hawser.Version, err error, number uint64) {
	t.Helper()
	if err != nil {
		t.Fatalf("got error %v, want version %d", err, number)
	}
	if v.Number != number {
		t.Fatalf("got version %d, want %d", v.Number, number)
	}
}

// bubble is synctest.Test for tests that pack states. What packs them is pooled
// and holds channels, which may not be used outside the bubble they were made
// in, so the pools are emptied at its end.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
	for range 2 {
		runtime.GC()
	}
}

// goroutines returns how many goroutines the bubble of its caller has. The
// runtime's own count is of the whole process, and has those that are about to
// be gone.
func goroutines() int {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	head, _, _ := bytes.Cut(stacks, []byte("\n")) // goroutine 9 [running, synctest bubble 1]:
	_, mine, ok := bytes.Cut(head, []byte("synctest bubble "))
	if !ok || len(stacks) == cap(stacks) {
		panic(fmt.Sprintf("count goroutines: %d bytes of stacks that begin with %s", len(stacks), head))
	}
	return bytes.Count(stacks, append([]byte("synctest bubble "), mine...))
}

// elapsed returns how long f takes, on the bubble's clock.
func elapsed(f func()) time.Duration {
	begin := time.Now()
	f()
	return time.Since(begin)
}

// recorder collects what handlers see; they may overlap.
type recorder[T any] struct {
	mu    sync.Mutex
	items []T
}

func (r *recorder[T]) add(item T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.items = append(r.items, item)
}

// take returns what was collected since the last time.
func (r *recorder[T]) take() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	items := r.items
	r.items = nil
	return items
}

// noise returns n bytes that do not pack, others for another seed.
func noise(n int, seed ...byte) []byte {
	state := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{append(seed, 1)[0]}).Read(state) // never fails
	return state
}
