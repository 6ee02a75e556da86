// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/cluster"
)

// stopTimeout bounds a graceful stop: handing over the leadership, answering
// what is in flight, closing the stores.
const stopTimeout = 30 * time.Second

// haltTimeout bounds the end of a node that has stopped itself. What still runs in
// it may wait for its store for ever, and if it leads nobody else can until it is
// gone.
const haltTimeout = 2 * time.Second

func (p *program) server() *cli.Command {
	return &cli.Command{
		Name: "server", Usage: "run one node until it is told to stop",
		Description: `SIGINT or SIGTERM stops the node gracefully: it hands over the leadership and
answers what is in flight. A second signal ends it at once.

Examples:
   hawser server --data-dir hawser-data --name n1 --bootstrap-expect 1
   hawser server --data-dir hawser-data --name n1 --cluster-secret-file secret --bootstrap-expect 3 \
      --join 127.0.0.1:7421,127.0.0.1:7431,127.0.0.1:7441`,
		Flags:  serverFlags(),
		Action: p.runServer,
	}
}

func (p *program) runServer(c *cli.Context) error {
	logger, err := newLogger(p.stderr, c.String(flagLogLevel), c.String(flagLogFormat))
	if err != nil {
		return err
	}
	cfg := serverConfig(c)
	cfg.Logger = logger
	if err := cfg.Validate(); err != nil {
		return usageError(err.Error())
	}
	logConfig(logger, cfg)
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	if c.Bool(flagStopWithStdin) {
		go func() { // ends with the process: a read of stdin cannot be called off
			_, _ = io.Copy(io.Discard, p.stdin)
			cancel()
		}()
	}
	return serve(ctx, cfg)
}

// serve runs a node until ctx ends or the node stops itself.
func serve(ctx context.Context, cfg cluster.Config) error {
	node, err := cluster.Open(ctx, cfg)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return own{err}
	}
	select {
	case <-ctx.Done():
		cfg.Logger.Info("stopping")
	case <-node.Done():
	}
	limit := stopTimeout
	if node.Err() != nil {
		limit = haltTimeout
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	closeErr := closeWithin(stopping, node.Close)
	if err := node.Err(); err != nil {
		return own{err}
	}
	if closeErr != nil {
		return fmt.Errorf("stop the node: %w", closeErr)
	}
	cfg.Logger.Info("stopped")
	return nil
}

// closeWithin calls end and gives up when ctx ends, a moment after end should
// have: a disk that hangs lets nothing end that waits for it, and the process
// must.
func closeWithin(ctx context.Context, end func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- end(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(time.Second):
		return fmt.Errorf("it did not end in time, a disk may hang: %w", ctx.Err())
	}
}

// newLogger returns the node's logger.
func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var at slog.Level
	if err := at.UnmarshalText([]byte(level)); err != nil {
		return nil, usageErrorf("--%s %q: debug, info, warn or error", flagLogLevel, level)
	}
	options := &slog.HandlerOptions{Level: at}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, usageErrorf("--%s %q: text or json", flagLogFormat, format)
}
