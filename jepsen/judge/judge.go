// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package judge is a resource that locks guard: something outside of the cluster
// that accepts what is written to it if the writer's fence is good, and remembers
// what it accepted and refused, in order.
//
// It runs in a process of its own with a file of its own, as a bucket or a database
// does, so that its order is nobody's opinion.
package judge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/jepsen/history"
)

// Command is the argument that makes the harness's executable a judge.
const Command = "judge"

// Task is what a judge needs.
type Task struct {
	// Dir is its own: the socket and the file are there.
	Dir string `json:"dir"`
	// Begin is that of the run.
	Begin time.Duration `json:"begin"`
}

// Socket is where a judge with that directory listens.
func Socket(dir string) string { return filepath.Join(dir, "socket") }

// Writing is a write with a fence.
type Writing struct {
	Client int          `json:"client"`
	Lock   string       `json:"lock"`
	Value  string       `json:"value"`
	Fence  hawser.Fence `json:"fence"`
}

// Main is the judge's process; it ends when in does. What it accepts and refuses
// it tells to out, in that order.
func Main(ctx context.Context, text string, in io.Reader, out io.Writer) error {
	var task Task
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		return fmt.Errorf("the task of a judge: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", Socket(task.Dir))
	if err != nil {
		return fmt.Errorf("judge: %w", err)
	}
	f := &file{path: filepath.Join(task.Dir, "newest"), newest: map[string]uint64{}}
	j := &judge{guard: hawser.Guard{Load: f.load, Store: f.store}, recorder: history.Told(out, task.Begin, 0)}
	server := &http.Server{Handler: j, ReadHeaderTimeout: time.Minute}
	go func() {
		_, _ = io.Copy(io.Discard, in) // whatever ends it
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("judge: %w", err)
	}
	return nil
}

// judge takes writes, one at a time.
type judge struct {
	recorder *history.Recorder

	mu    sync.Mutex
	guard hawser.Guard
}

// ServeHTTP implements http.Handler.
func (j *judge) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var wr Writing
	if err := json.NewDecoder(req.Body).Decode(&wr); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch err := j.take(wr); {
	case errors.Is(err, hawser.ErrFenced):
		http.Error(w, err.Error(), http.StatusConflict)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// take accepts a write or refuses it, and tells so before the next one.
func (j *judge) take(wr Writing) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.guard.Check(wr.Fence)
	_, number := hawser.SplitToken(wr.Fence.Token)
	op := history.Op{Client: wr.Client, Kind: history.Judged, Agent: wr.Lock, Epoch: number, Value: wr.Value, Outcome: history.OK}
	if err != nil {
		op.Outcome, op.Error = history.Failed, err.Error()
	}
	j.recorder.Record(op)
	return err
}

// file keeps the newest fences.
type file struct {
	path   string
	newest map[string]uint64
}

func (f *file) load(resource string) (uint64, error) {
	text, err := os.ReadFile(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	err = json.Unmarshal(text, &f.newest)
	return f.newest[resource], err
}

func (f *file) store(resource string, token uint64) error {
	f.newest[resource] = token
	text, err := json.Marshal(f.newest)
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(f.path+".new", f.path)
}

// Client writes to a judge. It is safe for concurrent use.
type Client struct{ http *http.Client }

// Dial returns a client of the judge that listens at a socket.
func Dial(socket string) *Client {
	return &Client{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}}
}

// Write writes. The error matches hawser.ErrFenced if the judge has refused it;
// after any other it may have been accepted.
func (c *Client) Write(ctx context.Context, wr Writing) error {
	text, err := json.Marshal(wr)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://judge/", bytes.NewReader(text))
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("write to the judge: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	why, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return fmt.Errorf("write to the judge: %w", err)
	case resp.StatusCode == http.StatusOK:
		return nil
	case resp.StatusCode == http.StatusConflict:
		return fmt.Errorf("write to the judge: %w: %s", hawser.ErrFenced, bytes.TrimSpace(why))
	}
	return fmt.Errorf("write to the judge: %s: %s", resp.Status, bytes.TrimSpace(why))
}
