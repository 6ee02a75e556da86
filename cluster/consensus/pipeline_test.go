// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// Raft as it comes, with stores whose writes fail for a moment on one follower
// while entries flow: with the number of calls in flight that our transport
// uses, the follower has everything soon after the writes end. With raft's
// default of two its replication stops for good in most runs, which the test
// tells, but does not demand: it depends on timing.
func TestPipeline_FollowerThatRefusesIsNotWedged(t *testing.T) {
	t.Run("ours", func(t *testing.T) {
		for range 3 {
			if lag := lagAfterRefusals(t, maxRPCsInFlight, 10*time.Second); lag != 0 {
				t.Fatalf("the follower stays %d entries behind", lag)
			}
		}
	})
	t.Run("raft's default", func(t *testing.T) {
		for i := range 3 {
			if lag := lagAfterRefusals(t, 2, 2*time.Second); lag != 0 {
				t.Logf("run %d: the follower stays %d entries behind for ever", i+1, lag)
				return
			}
		}
		t.Log("it was not wedged in 3 runs")
	})
}

// refusing is a log store that fails on command.
type refusing struct {
	*raft.InmemStore
	fail atomic.Bool
}

func (r *refusing) StoreLogs(logs []*raft.Log) error {
	if r.fail.Load() {
		return errors.New("injected")
	}
	return r.InmemStore.StoreLogs(logs)
}

func (r *refusing) StoreLog(l *raft.Log) error { return r.StoreLogs([]*raft.Log{l}) }

type nothing struct{}

func (nothing) Apply(*raft.Log) any                 { return nil }
func (nothing) Snapshot() (raft.FSMSnapshot, error) { return nil, errors.New("none") }
func (nothing) Restore(io.ReadCloser) error         { return errors.New("none") }

// lagAfterRefusals returns by how many entries the follower is behind when
// patience ends after the writes, 0 as soon as it is not.
func lagAfterRefusals(t *testing.T, inFlight int, patience time.Duration) uint64 {
	t.Helper()
	rafts, stores := rawGroup(t, inFlight)
	leader := awaitRawLeader(t, rafts)
	follower := (leader + 1) % len(rafts)
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = rafts[leader].Apply(make([]byte, 100), time.Second).Error() // the other follower commits it
				}
			}
		})
	}
	for range 5 { // short errors of the disk
		time.Sleep(100 * time.Millisecond)
		stores[follower].fail.Store(true)
		time.Sleep(20 * time.Millisecond)
		stores[follower].fail.Store(false)
	}
	close(stop)
	writers.Wait()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		lag := rafts[leader].LastIndex() - min(rafts[follower].LastIndex(), rafts[leader].LastIndex())
		if lag == 0 || time.Now().After(end) {
			return lag
		}
	}
}

func rawGroup(t *testing.T, inFlight int) ([]*raft.Raft, []*refusing) {
	t.Helper()
	var conf raft.Configuration
	var transports []*raft.NetworkTransport
	for i := range 3 {
		tr, err := raft.NewTCPTransportWithConfig("127.0.0.1:0", nil, &raft.NetworkTransportConfig{
			MaxPool: maxPool, Timeout: 2 * time.Second, MaxRPCsInFlight: inFlight, Logger: hclog.NewNullLogger(),
		})
		if err != nil {
			t.Fatal(err)
		}
		transports = append(transports, tr)
		conf.Servers = append(conf.Servers, raft.Server{ID: raft.ServerID(fmt.Sprint(i)), Address: tr.LocalAddr()})
	}
	var rafts []*raft.Raft
	var stores []*refusing
	for i, tr := range transports {
		c := raft.DefaultConfig()
		c.LocalID, c.Logger = raft.ServerID(fmt.Sprint(i)), hclog.NewNullLogger()
		c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = 500*time.Millisecond, 500*time.Millisecond, 500*time.Millisecond
		store, snaps := &refusing{InmemStore: raft.NewInmemStore()}, raft.NewInmemSnapshotStore()
		if err := raft.BootstrapCluster(c, store, store, snaps, tr, conf); err != nil {
			t.Fatal(err)
		}
		r, err := raft.NewRaft(c, nothing{}, store, store, snaps, tr)
		if err != nil {
			t.Fatal(err)
		}
		rafts, stores = append(rafts, r), append(stores, store)
		t.Cleanup(func() { _ = tr.Close(); r.Shutdown() }) // not waited for: a wedged one does not end
	}
	return rafts, stores
}

func awaitRawLeader(t *testing.T, rafts []*raft.Raft) int {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for i, r := range rafts {
			if r.State() == raft.Leader {
				return i
			}
		}
	}
	t.Fatal("nobody leads")
	return 0
}
