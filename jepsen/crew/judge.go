// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package crew

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hawserdb/hawser/internal/procs"
	"github.com/hawserdb/hawser/jepsen/history"
	"github.com/hawserdb/hawser/jepsen/judge"
)

// Judge is the process of the guarded resource.
type Judge struct {
	// Socket is where it listens.
	Socket string

	dir      string
	process  *procs.Process
	followed chan error
}

// StartJudge starts it, and waits until it listens. Its log is in dir.
func StartJudge(ctx context.Context, dir string, recorder *history.Recorder) (*Judge, error) {
	own, err := os.MkdirTemp("", "hawser-judge-") // the name of a socket must be short
	if err != nil {
		return nil, fmt.Errorf("a directory for the judge: %w", err)
	}
	j := &Judge{Socket: judge.Socket(own), dir: own}
	task := judge.Task{Dir: own, Begin: recorder.Beginning()}
	if j.process, j.followed, err = launch(judge.Command, task, filepath.Join(dir, "judge.log"), recorder); err != nil {
		return nil, errors.Join(fmt.Errorf("start the judge: %w", err), os.RemoveAll(own))
	}
	for range 1000 {
		if _, err := os.Stat(j.Socket); err == nil {
			return j, nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), j.Close(ctx))
		}
	}
	return nil, errors.Join(errors.New("the judge does not listen"), j.Close(ctx))
}

// Process returns its process.
func (j *Judge) Process() *procs.Process { return j.process }

// Close ends it.
func (j *Judge) Close(ctx context.Context) error {
	err := stop(ctx, j.process)
	if code := j.process.ExitCode(); err == nil && code != 0 {
		err = fmt.Errorf("it ended with code %d: %s", code, j.process.Tail(1000))
	}
	if err = errors.Join(err, <-j.followed); err != nil {
		err = fmt.Errorf("the judge: %w", err)
	}
	return errors.Join(err, os.RemoveAll(j.dir))
}
