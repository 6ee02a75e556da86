// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/cluster"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/hawsertest"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// spaceKept is how many versions stay.
const spaceKept = 10

// history is what each agent saves, the same for all.
type history struct {
	states [][]byte
	sums   []hawser.Hash
	deltas []record.Content // the first is of no use

	mu        sync.Mutex
	keyframes map[int]record.Content
}

// newHistory makes n states of about size bytes, like the logs of an agent:
// words, a fortieth of them new in each step.
func newHistory(n, size int) *history {
	rng := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 4000)
	for i := range words {
		words[i] = fmt.Sprintf("%x ", rng.Uint64()>>(16+rng.IntN(40)))
	}
	text := func(size int) (b []byte) {
		for len(b) < size {
			b = append(b, words[rng.IntN(len(words))]...)
		}
		return b[:size]
	}
	h := &history{keyframes: map[int]record.Content{}}
	state := text(size)
	for i := range n {
		state = slices.Clone(state)
		copy(state[rng.IntN(size-size/40):], text(size/40))
		h.states = append(h.states, state)
		h.sums = append(h.sums, sha256.Sum256(state))
		delta := record.Content{}
		if i > 0 {
			delta, _ = record.EncodeDelta(h.states[i-1], state)
		}
		h.deltas = append(h.deltas, delta)
	}
	return h
}

func (h *history) keyframe(i int) record.Content {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.keyframes[i]
	if !ok {
		c = record.EncodeKeyframe(h.states[i])
		h.keyframes[i] = c
	}
	return c
}

// saveTo saves the history as an agent of a cluster.
func (h *history) saveTo(ctx context.Context, state hawserv1.StateClient, name string) error {
	seen := uint64(0)
	save := func(i int, c record.Content, base *hawserv1.Base) error {
		nonce, encoding := hawser.NewNonce(), hawserv1.Encoding_ENCODING_RAW
		if c.Encoding == record.Zstd {
			encoding = hawserv1.Encoding_ENCODING_ZSTD
		}
		for attempt := uint32(0); ; attempt++ {
			resp, err := state.Save(ctx, &hawserv1.SaveRequest{
				Agent:   &hawserv1.Agent{Namespace: "default", Name: name},
				Request: &hawserv1.RequestID{Nonce: nonce[:], Seen: seen, Attempt: attempt}, Sha256: h.sums[i][:], StateSize: uint64(len(h.states[i])),
				Payload: &hawserv1.Payload{Encoding: encoding, Data: c.Data, Crc32C: c.CRC32C, Size: c.Size, Base: base},
			})
			if err == nil {
				seen = resp.GetVersion().GetNumber()
				return nil
			}
			err = wire.FromStatus(err)
			late := hawser.CodeOf(err) == hawser.CodeDeadline // the disk of this machine, with three logs on it
			if attempt == 20 || !late && hawser.CodeOf(err).Retry() == hawser.RetryNever {
				return err
			}
		}
	}
	for i := range h.states {
		err := hawser.ErrKeyframeNeeded
		if i > 0 {
			err = save(i, h.deltas[i], &hawserv1.Base{Number: seen, Sha256: h.sums[i-1][:]})
		}
		if errors.Is(err, hawser.ErrKeyframeNeeded) {
			err = save(i, h.keyframe(i), nil)
		}
		if err != nil {
			return fmt.Errorf("%s, version %d: %w", name, i+1, err)
		}
	}
	return nil
}

// reference is what a store takes that only ever held the newest versions of
// so many agents.
func (h *history) reference(t *testing.T, agents int) uint64 {
	t.Helper()
	m, err := fsm.Open(t.TempDir(), fsm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	first := len(h.states) - spaceKept
	index := uint64(0)
	for agent := range agents {
		var base *fsm.Base
		for i := first; i < len(h.states); i++ {
			c := h.deltas[i]
			if i == first {
				c = h.keyframe(i)
			}
			index++
			entry := fsm.AppendBatch(nil, fsm.BatchID{}, time.Now().UnixNano(), [][]byte{fsm.AppendCommand(nil, &fsm.Save{
				Agent: hawser.AgentID{Namespace: "default", Name: spaceName(agent)}, Base: base, SHA256: h.sums[i], Size: uint64(len(h.states[i])),
				Request: fsm.Request{Nonce: hawser.NewNonce(), Seen: uint64(i - first)}, Content: c,
			})})
			out, err := m.Apply([]fsm.Entry{{Index: index, Term: 1, Kind: fsm.EntryCommand, Data: entry}})
			if err == nil {
				err = out[0].Results[0].Err
			}
			if err != nil {
				t.Fatal(err)
			}
			base = &fsm.Base{Number: uint64(i - first + 1), SHA256: h.sums[i]}
		}
	}
	if err := m.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	metrics, err := m.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	return metrics.DiskBytes
}

func spaceName(agent int) string { return fmt.Sprintf("agent-%04d", agent) }

// latencies are those of small saves by a few agents, from start to stop.
type latencies struct {
	start time.Time
	stop  context.CancelFunc
	done  sync.WaitGroup
	mu    sync.Mutex
	took  []time.Duration
	// slowest is the slowest of each second.
	slowest []time.Duration
}

func startLatencies(t *testing.T, c *hawsertest.Cluster, phase string) *latencies {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &latencies{start: time.Now(), stop: stop}
	for i := range 8 {
		l.done.Go(func() {
			rng := rand.New(rand.NewPCG(3, uint64(i)))
			agent, state := c.Client().Agent(fmt.Sprintf("busy-%s-%d", phase, i)), noise(1024)
			for ctx.Err() == nil {
				state[rng.IntN(len(state))]++
				start := time.Now()
				if _, err := agent.Save(context.WithoutCancel(ctx), state); err != nil {
					t.Errorf("save beside the janitor: %v", err)
					return
				}
				l.note(time.Since(start))
				select {
				case <-ctx.Done():
				case <-time.After(time.Duration(rng.IntN(100)) * time.Millisecond):
				}
			}
		})
	}
	return l
}

func (l *latencies) note(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, took)
	second := int(time.Since(l.start) / time.Second)
	for len(l.slowest) <= second {
		l.slowest = append(l.slowest, 0)
	}
	l.slowest[second] = max(l.slowest[second], took.Round(time.Millisecond))
}

// quantiles ends the saves and returns how many there were and what they took.
func (l *latencies) quantiles() (n int, p50, p99 time.Duration) {
	l.stop()
	l.done.Wait()
	slices.Sort(l.took)
	n = len(l.took)
	if n == 0 {
		return 0, 0, 0
	}
	return n, l.took[n/2], l.took[n*99/100]
}

// Claim: after the policy "keep the last ten" each node's store shrinks to what
// one takes that only ever held those, within two minutes, and saves beside
// that stay quick. A few small agents here; HAWSER_SPACE=1000x1000 measures
// agents and versions, on three nodes, and says what it found.
func TestCluster_RetentionGivesSpaceBack(t *testing.T) {
	nodes, agents, versions, size, limit := 1, 40, 150, 40<<10, 2.0
	options := []hawsertest.Option{hawsertest.WithConfig(func(cfg *cluster.Config) {
		cfg.Tuning.MemTableBytes = 1 << 20
		cfg.Tuning.Retention.SnapshotEvery = time.Second
	})}
	if full := os.Getenv("HAWSER_SPACE"); full != "" {
		if _, err := fmt.Sscanf(full, "%dx%d", &agents, &versions); err != nil || versions < spaceKept {
			t.Fatalf("HAWSER_SPACE=%s is not AGENTSxVERSIONS", full)
		}
		nodes, size, limit, options = 3, 100<<10, 1.3, nil
	}
	h := newHistory(versions, size)
	want := h.reference(t, agents)
	c := hawsertest.StartCluster(t, nodes, options...)
	start := time.Now()
	saveSpace(t, c, h, agents)
	t.Logf("%d agents x %d versions of %d KiB saved in %s; delta %d bytes, keyframe %d; reference %.1f MB", agents, versions, size>>10,
		time.Since(start).Round(time.Second), len(h.deltas[versions-1].Data), len(h.keyframe(versions-spaceKept).Data), float64(want)/1e6)

	window := time.Second
	if nodes > 1 {
		window = 30 * time.Second
	}
	alone := startLatencies(t, c, "alone")
	time.Sleep(window)
	n, p50, quietP99 := alone.quantiles()
	t.Logf("saves alone: %d, p50 %s, p99 %s", n, p50, quietP99)

	beside := startLatencies(t, c, "beside")
	start = time.Now()
	if _, err := c.Client().SetRetention(t.Context(), "", hawser.Retention{KeepLast: spaceKept}); err != nil {
		t.Fatal(err)
	}
	ratios := awaitSpace(t, c, agents*(versions-spaceKept), want, limit)
	t.Logf("after %s: %.2f times the reference on each node", time.Since(start).Round(time.Second), ratios)
	n, p50, busyP99 := beside.quantiles()
	t.Logf("saves beside: %d, p50 %s, p99 %s (%.1f times)", n, p50, busyP99, float64(busyP99)/float64(quietP99))
	t.Logf("slowest in each second: alone %v, beside %v", alone.slowest, beside.slowest)
	if slices.Max(ratios) > limit {
		t.Errorf("a store is %.2f times the reference", slices.Max(ratios))
	}
	if nodes > 1 && busyP99 > 2*quietP99 {
		t.Errorf("p99 of %s beside the janitor, %s alone", busyP99, quietP99)
	}
	for agent := range agents {
		cp, err := c.Client().Agent(spaceName(agent)).Restore(t.Context())
		if err != nil || hawser.Hash(sha256.Sum256(cp.State)) != h.sums[versions-1] {
			t.Fatalf("%s after all that: %v", spaceName(agent), err)
		}
	}
}

func saveSpace(t *testing.T, c *hawsertest.Cluster, h *history, agents int) {
	t.Helper()
	conn, err := grpc.NewClient(c.Endpoint(c.Leader()), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var savers sync.WaitGroup
	var next atomic.Int64
	for range 64 {
		savers.Go(func() {
			for agent := int(next.Add(1) - 1); agent < agents && !t.Failed(); agent = int(next.Add(1) - 1) {
				if err := h.saveTo(t.Context(), hawserv1.NewStateClient(conn), spaceName(agent)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	savers.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// awaitSpace waits for two minutes at most until the due versions are gone and
// every node's store is below limit times the reference, and returns what they
// are.
func awaitSpace(t *testing.T, c *hawsertest.Cluster, due int, want uint64, limit float64) []float64 {
	t.Helper()
	ratios := make([]float64, c.Size())
	for start := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		for i := range ratios {
			ratios[i] = metric(t, c.Node(i), "hawser_store_bytes") / float64(want)
		}
		pruned := metric(t, c.Node(c.Leader()), "hawser_pruned_versions")
		if int(pruned) >= due && slices.Max(ratios) <= limit || time.Since(start) > 2*time.Minute {
			return ratios
		}
		if left := time.Since(start).Round(200 * time.Millisecond); left > 0 && left%(10*time.Second) == 0 {
			t.Logf("after %s: %.2f, pruned %v, rewritten %v, compactions %v", left, ratios, pruned,
				metric(t, c.Node(c.Leader()), "hawser_rewritten_segments"), metric(t, c.Node(0), "hawser_store_compactions"))
		}
	}
}
