// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package crew

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hawserdb/hawser/internal/procs"
	"github.com/hawserdb/hawser/jepsen/history"
	"github.com/hawserdb/hawser/jepsen/workload"
)

// Main is a process of clients: it works on a task until in ends.
func Main(ctx context.Context, text string, in io.Reader, out io.Writer) error {
	var task Task
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		return fmt.Errorf("the task of a crew: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in) // whatever ends it
		cancel()
	}()
	return task.work(ctx, history.Told(out, task.Begin, task.First))
}

func (t Task) work(ctx context.Context, recorder *history.Recorder) error {
	known := map[string]workload.Workload{}
	for _, w := range workload.All(recorder, t.Judge) {
		known[w.Name()] = w
	}
	var members sync.WaitGroup
	defer members.Wait()
	for _, m := range t.Members {
		w, ok := known[m.Workload]
		if !ok {
			return fmt.Errorf("there is no workload %q", m.Workload)
		}
		conn, err := workload.Dial(recorder, w, m.ID, m.Know)
		if err != nil {
			return err
		}
		members.Go(func() {
			defer func() { _ = conn.Close() }()
			w.Run(ctx, m.ID, conn, rand.New(rand.NewPCG(t.Seed, uint64(m.ID)+2)))
		})
	}
	return nil
}

// stopTime bounds the end of a process.
const stopTime = 30 * time.Second

// stop ends a process gracefully, also when ctx has ended, or kills it.
func stop(ctx context.Context, p *procs.Process) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		return errors.Join(errors.New("it does not end"), err)
	}
	return nil
}
