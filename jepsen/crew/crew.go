// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package crew runs clients in processes of their own, which can be paused and
// killed as those of users are.
//
// Such a process is the harness's own executable with [Command] as its first
// argument. What its clients see it tells on its standard output, before they go
// on; it ends when its standard input does.
package crew

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hawserdb/hawser/internal/procs"
	"github.com/hawserdb/hawser/jepsen/history"
)

// Command is the argument that makes the executable a crew.
const Command = "crew"

// Member is one client of a crew.
type Member struct {
	ID       int      `json:"id"`
	Workload string   `json:"workload"`
	Know     []string `json:"know"` // the endpoints that it knows
}

// Task is what a crew is to do.
type Task struct {
	Members []Member `json:"members"`
	Seed    uint64   `json:"seed"`
	// Judge is where the guarded resource listens.
	Judge string `json:"judge,omitempty"`

	// Begin is that of the run, First the number after which values are counted.
	Begin time.Duration `json:"begin"`
	First int64         `json:"first"`
}

// Crew is a process of clients. It is safe for concurrent use.
type Crew struct {
	// Name is how people call it.
	Name string

	task     Task
	log      string
	recorder *history.Recorder

	mu       sync.Mutex
	process  *procs.Process
	followed chan error
	starts   int
}

// values is how many values a process may have, and lives how many clients there
// may be beside those of earlier processes.
const (
	values = 1 << 32
	lives  = 10_000
)

// New returns a crew that does a task; its Begin and First are filled in.
// Nothing runs yet.
func New(name, dir string, task Task, recorder *history.Recorder) *Crew {
	return &Crew{Name: name, task: task, log: filepath.Join(dir, name+".log"), recorder: recorder}
}

// Start starts the process, unless it runs. Clients of a process that comes after
// another one have other numbers: they are others.
func (c *Crew) Start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.runningLocked() {
		return nil
	}
	c.starts++
	task := c.task
	task.Begin, task.First = c.recorder.Beginning(), int64(c.starts)*values
	task.Members = nil
	for _, m := range c.task.Members {
		m.ID += (c.starts - 1) * lives
		task.Members = append(task.Members, m)
	}
	var err error
	c.process, c.followed, err = launch(Command, task, c.log, c.recorder)
	if err != nil {
		return fmt.Errorf("start the clients %s: %w", c.Name, err)
	}
	return nil
}

// launch starts the harness's own executable for a task, and follows what it tells.
func launch(command string, task any, log string, recorder *history.Recorder) (*procs.Process, chan error, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	text, err := json.Marshal(task)
	if err != nil {
		return nil, nil, err
	}
	told, tell := io.Pipe()
	p, err := procs.Start(procs.Command{Path: self, Args: []string{command, string(text)}, Log: log, Output: tell})
	if err != nil {
		return nil, nil, err
	}
	followed := make(chan error, 1)
	go func() {
		<-p.Done()
		_ = tell.Close() // never fails
	}()
	go func() {
		err := recorder.Follow(told)
		_ = told.Close() // so that nobody waits for a reader that has given up
		followed <- err
	}()
	return p, followed, nil
}

// Running reports whether the newest process has not ended.
func (c *Crew) Running() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runningLocked()
}

func (c *Crew) runningLocked() bool {
	if c.process == nil {
		return false
	}
	select {
	case <-c.process.Done():
		return false
	default:
		return true
	}
}

// Process returns the newest process, nil before the first.
func (c *Crew) Process() *procs.Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.process
}

// Kill ends the process with SIGKILL, and returns when all is recorded that its
// clients had told.
func (c *Crew) Kill() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.runningLocked() {
		return errors.New("the clients do not run")
	}
	err := c.process.Kill()
	return errors.Join(err, <-c.followed)
}

// Close ends the process gracefully. One that has ended by itself is an error.
func (c *Crew) Close(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		return nil
	}
	alone := !c.runningLocked()
	err := errors.Join(c.process.Signal(syscall.SIGCONT), stop(ctx, c.process))
	if code := c.process.ExitCode(); err == nil && (code != 0 || alone) {
		err = fmt.Errorf("it ended with code %d: %s", code, c.process.Tail(1000))
	}
	if !alone {
		err = errors.Join(err, <-c.followed)
	}
	if err != nil {
		return fmt.Errorf("the clients %s: %w", c.Name, err)
	}
	return nil
}
