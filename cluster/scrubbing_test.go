// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/cluster"
	"github.com/hawserdb/hawser/hawsertest"
	"github.com/hawserdb/hawser/internal/engine"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// handMade saves without a client, and so says what it wants of a state.
type handMade struct {
	t     *testing.T
	state hawserv1.StateClient
	name  string
	seen  uint64
}

func newHandMade(t *testing.T, c *hawsertest.Cluster, name string) *handMade {
	t.Helper()
	conn, err := grpc.NewClient(c.Endpoint(0), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &handMade{t: t, state: hawserv1.NewStateClient(conn), name: name}
}

// save saves a content as a state of so many bytes with the hash sha.
func (h *handMade) save(c record.Content, base *hawserv1.Base, size int, sha hawser.Hash) error {
	nonce := hawser.NewNonce()
	encoding := hawserv1.Encoding_ENCODING_RAW
	if c.Encoding == record.Zstd {
		encoding = hawserv1.Encoding_ENCODING_ZSTD
	}
	resp, err := h.state.Save(h.t.Context(), &hawserv1.SaveRequest{
		Agent:   &hawserv1.Agent{Namespace: "default", Name: h.name},
		Request: &hawserv1.RequestID{Nonce: nonce[:], Seen: h.seen}, Sha256: sha[:], StateSize: uint64(size),
		Payload: &hawserv1.Payload{Encoding: encoding, Data: c.Data, Crc32C: c.CRC32C, Size: c.Size, Base: base},
	})
	if err == nil {
		h.seen = resp.GetVersion().GetNumber()
	}
	return wire.FromStatus(err)
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

// A client that lies, with a delta that is sound and gives other bytes than its
// hash says, is found out: the version is bad on every node and is not served,
// no delta is taken on it, a keyframe is, and the versions before still restore.
func TestCluster_LyingClientMakesABadVersion(t *testing.T) {
	t.Parallel()
	c := hawsertest.StartCluster(t, 3, hawsertest.WithConfig(func(cfg *cluster.Config) { cfg.Tuning.ScrubDelay = 50 * time.Millisecond }))
	h := newHandMade(t, c, "liar")
	base := noise(2000)
	if err := h.save(record.EncodeKeyframe(base), nil, len(base), sha256.Sum256(base)); err != nil {
		t.Fatal(err)
	}
	next := append(slices.Clone(base), "more"...)
	delta, _ := record.EncodeDelta(base, next)
	baseSum, lie := sha256.Sum256(base), hawser.Hash(sha256.Sum256([]byte("something else")))
	if err := h.save(delta, &hawserv1.Base{Number: 1, Sha256: baseSum[:]}, len(next), lie); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		a := dial(t, c.Endpoint(i)).Agent("liar")
		c.Eventually(fmt.Sprintf("node %d calls the version bad", i+1), func() error {
			for v, err := range a.Versions(t.Context()) {
				if err != nil || v.Number == 2 && v.State == hawser.VersionBad {
					return err
				}
			}
			return errors.New("it does not")
		})
		if _, err := a.Restore(t.Context(), client.AtVersion(2)); !errors.Is(err, hawser.ErrCorrupt) {
			t.Errorf("node %d: restore of the bad version: %v", i+1, err)
		}
		if cp, err := a.Restore(t.Context(), client.AtVersion(1)); err != nil || !bytes.Equal(cp.State, base) {
			t.Errorf("node %d: restore of the version before: %d bytes, %v", i+1, len(cp.State), err)
		}
	}
	again, _ := record.EncodeDelta(next, base)
	if err := h.save(again, &hawserv1.Base{Number: 2, Sha256: lie[:]}, len(base), sha256.Sum256(base)); !errors.Is(err, hawser.ErrKeyframeNeeded) {
		t.Errorf("a delta on the bad version: %v", err)
	}
	if err := h.save(record.EncodeKeyframe(next), nil, len(next), sha256.Sum256(next)); err != nil {
		t.Errorf("a keyframe after the bad version: %v", err)
	}
	if cp, err := c.Client().Agent("liar").Restore(t.Context()); err != nil || !bytes.Equal(cp.State, next) {
		t.Errorf("restore of the head: %d bytes, %v", len(cp.State), err)
	}
}

// A node whose stored bytes were altered while it was down finds that out when
// the agent saves again, and puts back what the others have.
func TestCluster_AlteredContentIsRepaired(t *testing.T) {
	t.Parallel()
	c := hawsertest.StartCluster(t, 3, hawsertest.WithConfig(func(cfg *cluster.Config) { cfg.Tuning.ScrubDelay = 50 * time.Millisecond }))
	h := newHandMade(t, c, "honest")
	base := noise(2000)
	if err := h.save(record.EncodeKeyframe(base), nil, len(base), sha256.Sum256(base)); err != nil {
		t.Fatal(err)
	}
	c.Eventually("the node has the version", func() error {
		_, err := dial(t, c.Endpoint(2)).Agent("honest").Restore(t.Context(), client.Stale())
		return err
	})
	c.Stop(2)
	alterKeyframes(t, filepath.Join(c.Config(2).DataDir, "state"))
	c.Restart(2)
	next := append(slices.Clone(base), "more"...)
	delta, _ := record.EncodeDelta(base, next)
	baseSum := sha256.Sum256(base)
	if err := h.save(delta, &hawserv1.Base{Number: 1, Sha256: baseSum[:]}, len(next), sha256.Sum256(next)); err != nil {
		t.Fatal(err)
	}
	c.Eventually("the node repairs itself", func() error {
		if n := metric(t, c.Node(2), "hawser_repaired_contents"); n != 1 {
			return fmt.Errorf("%v contents repaired", n)
		}
		return nil
	})
	for i := range 3 {
		if n := metric(t, c.Node(i), "hawser_bad_versions"); n != 0 {
			t.Errorf("node %d: %v versions marked bad", i+1, n)
		}
		c.Eventually(fmt.Sprintf("node %d has the head in its own store", i+1), func() error {
			cp, err := dial(t, c.Endpoint(i)).Agent("honest").Restore(t.Context(), client.Stale())
			if err == nil && !bytes.Equal(cp.State, next) {
				err = fmt.Errorf("%d bytes", len(cp.State))
			}
			return err
		})
	}
}

// alterKeyframes flips a bit of each content at the first position of a
// segment of a node that is down.
func alterKeyframes(t *testing.T, dir string) {
	t.Helper()
	_, db, err := engine.OpenHome(dir, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	it, err := db.Iter([]byte{'s'}, []byte{'s' + 1})
	if err != nil {
		t.Fatal(err)
	}
	batch := db.NewBatch()
	for it.Next() {
		if key, value := it.Key(), slices.Clone(it.Value()); len(key) == 1+8+4 && key[12] == 0 {
			value[len(value)-1] ^= 1
			batch.Set(key, value)
		}
	}
	if batch.Empty() {
		t.Fatal("there is no content to alter")
	}
	if err := errors.Join(it.Close(), batch.Commit(), db.Close()); err != nil {
		t.Fatal(err)
	}
}
