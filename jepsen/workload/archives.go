// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/jepsen/check"
	"github.com/hawserdb/hawser/jepsen/history"
	"github.com/hawserdb/hawser/snapshot"
)

// Archives writes archives while agents are saved, rolled back and forked, and reads
// what is in them.
type Archives struct {
	recorder *history.Recorder
	forks    atomic.Int64
	archives atomic.Int64

	mu sync.Mutex
	// agents are those that there are, values what they may have saved, and made
	// what is in the archives, by their names; all are guarded by mu.
	agents []string
	values map[hawser.Hash]string
	made   map[string]map[string]check.Chain
}

const (
	archived = 4
	// maxArchives bounds what is kept until the end of a run.
	maxArchives = 100
	// archiveTime bounds the making of an archive.
	archiveTime = 10 * time.Second
)

// Name implements Workload.
func (*Archives) Name() string { return "archives" }

// Together implements Together.
func (*Archives) Together() {}

// Prepare implements Workload.
func (a *Archives) Prepare(ctx context.Context, conn *client.Client) error {
	a.values, a.made = map[hawser.Hash]string{}, map[string]map[string]check.Chain{}
	for i := range archived {
		name := fmt.Sprintf("%s/%d", a.Name(), i)
		if made := a.save(ctx, 0, conn.Agent(name)); made.Outcome != history.OK {
			return fmt.Errorf("save the first state of %s: %s", name, made.Error)
		}
		a.agents = append(a.agents, name)
	}
	return keepAll(ctx, conn, a.Name())
}

// Run implements Workload.
func (a *Archives) Run(ctx context.Context, id int, conn *client.Client, rng *rand.Rand) {
	for ctx.Err() == nil {
		a.mu.Lock()
		agent := conn.Agent(a.agents[rng.IntN(len(a.agents))])
		a.mu.Unlock()
		switch dice := rng.IntN(100); {
		case dice < 2 && a.archives.Add(1) <= maxArchives:
			a.archive(ctx, id, conn, rng.IntN(4) == 0)
		case dice < 8:
			a.rollback(ctx, id, agent, rng)
		case dice < 10:
			a.fork(ctx, id, agent)
		default:
			a.save(ctx, id, agent)
		}
		pause(ctx, rng, 80*time.Millisecond)
	}
}

func (a *Archives) save(ctx context.Context, id int, agent *client.Agent) history.Op {
	op := history.Op{Client: id, Agent: agent.ID().Name}
	return save(ctx, a.recorder, op, func(ctx context.Context, state []byte) (hawser.Version, error) {
		a.mu.Lock()
		a.values[sha256.Sum256(state)] = valueOf(op.Agent, state)
		a.mu.Unlock()
		return agent.Save(ctx, state, client.Overwrite())
	})
}

func (a *Archives) rollback(ctx context.Context, id int, agent *client.Agent, rng *rand.Rand) {
	op := a.recorder.Begin(history.Op{Client: id, Kind: history.Rollback, Agent: agent.ID().Name})
	defer a.recorder.End(op)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	op.Outcome = history.Failed
	head, err := agent.ShowVersion(ctx, 0)
	if err != nil {
		op.Error = err.Error()
		return
	}
	op.Number = 1 + rng.Uint64N(head.Number)
	made, err := agent.Rollback(ctx, op.Number, client.Overwrite())
	op.Outcome, op.Error = outcome(err)
	op.Version, op.Revision = made.Number, uint64(made.Revision)
}

// fork makes an agent that shares what it is stored in with another one.
func (a *Archives) fork(ctx context.Context, id int, source *client.Agent) {
	if a.forks.Add(1) > maxForks {
		return
	}
	op := a.recorder.Begin(history.Op{
		Client: id, Kind: history.Fork, Agent: fmt.Sprintf("%s/fork-%d", a.Name(), a.recorder.Next()), Agents: []string{source.ID().Name},
	})
	defer a.recorder.End(op)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	made, err := source.Fork(ctx, op.Agent)
	op.Outcome, op.Error = outcome(err)
	op.Version, op.Revision = made.Number, uint64(made.Revision)
	if err == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.agents = append(a.agents, op.Agent)
	}
}

// archive writes an archive, of everything or of our agents only, and keeps what
// it says of them.
func (a *Archives) archive(ctx context.Context, id int, conn *client.Client, everything bool) {
	op := a.recorder.Begin(history.Op{
		Client: id, Kind: history.Archive, Agent: a.Name() + "/", Value: fmt.Sprintf("archive-%d", a.recorder.Next()),
	})
	defer a.recorder.End(op)
	ctx, cancel := context.WithTimeout(ctx, archiveTime)
	defer cancel()
	namespace, prefix := conn.Namespace(), a.Name()
	if everything {
		namespace, prefix = "", ""
	}
	f, err := os.CreateTemp("", "hawser-jepsen-*.hawser")
	if err != nil {
		op.Outcome, op.Error = history.Failed, err.Error()
		return
	}
	defer func() { _ = errors.Join(f.Close(), os.Remove(f.Name())) }()
	header, err := writeArchive(ctx, conn, f, namespace, prefix)
	if err != nil {
		op.Outcome, op.Error = history.Failed, err.Error()
		return
	}
	op.Outcome, op.Revision = history.OK, uint64(header.Revision)
	if err := a.read(context.WithoutCancel(ctx), f, op.Value, conn.Namespace()); err != nil {
		op.Error = err.Error() // what has come is no archive: the checker says so
	}
}

// writeArchive writes an archive to f.
func writeArchive(ctx context.Context, conn *client.Client, f *os.File, namespace, prefix string) (h snapshot.Header, err error) {
	var w *snapshot.Writer
	err = conn.Export(ctx, namespace, prefix, func(s client.ExportStart) (err error) {
		h = snapshot.Header{Generation: s.Generation, Revision: s.Revision, CreatedAt: s.Time, Namespace: namespace, Prefix: prefix}
		copy(h.ClusterID[:], s.Cluster)
		w, err = snapshot.NewWriter(f, h)
		return err
	}, func(items [][]byte) error {
		for _, item := range items {
			if err := w.AppendEncoded(item); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = w.Close()
	}
	return h, err
}

// read verifies an archive, and keeps what it says of our agents.
func (a *Archives) read(ctx context.Context, f *os.File, name, namespace string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	archive, err := snapshot.Open(f, info.Size())
	if err != nil {
		return err
	}
	report, err := archive.Verify(ctx, nil)
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		return err
	}
	chains := map[string]check.Chain{}
	for entry, err := range archive.Agents(namespace, a.Name()) {
		if err == nil {
			chains[entry.ID.Name], err = a.chain(archive, entry)
		}
		if err != nil {
			return fmt.Errorf("agent %s: %w", entry.ID.Name, err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.made[name] = chains
	return nil
}

// chain is what an archive has of an agent.
func (a *Archives) chain(archive *snapshot.Archive, entry snapshot.Entry) (chain check.Chain, err error) {
	agent, err := archive.History(entry)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	chain = make(check.Chain, entry.Head)
	for version, err := range agent.Versions() {
		if err != nil {
			return nil, err
		}
		value, known := a.values[version.SHA256]
		if !known {
			value = "content with the hash " + version.SHA256.String()
		}
		if version.Number == 0 || version.Number > uint64(len(chain)) {
			return nil, fmt.Errorf("it has %d versions, and one with the number %d", len(chain), version.Number)
		}
		chain[version.Number-1] = check.Version{Parent: version.Parent, Value: value, Revision: uint64(version.Revision), Epoch: version.Epoch}
	}
	return chain, nil
}

// Check implements Workload.
func (a *Archives) Check(ops []history.Op, final check.Final) []check.Verdict {
	return []check.Verdict{check.Archives(ops, a.made, final)}
}
