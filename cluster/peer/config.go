// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/hawserdb/hawser"
)

// Bounds of a port.
const (
	// DefaultHandshakeTimeout is the time for a whole handshake, on either side.
	DefaultHandshakeTimeout = 5 * time.Second
	// DefaultMaxHandshakes is how many inbound handshakes run at once.
	DefaultMaxHandshakes = 64
	// MaxMessage is the largest message of the internal gRPC in bytes. What is
	// longer is streamed.
	MaxMessage = 1 << 20

	// maxConnections bounds what is open or being opened, both directions.
	maxConnections = 4096
	// maxWaiting is how many accepted connections wait for Raft or gRPC to
	// take them; more are refused.
	maxWaiting = 128
)

// Config configures a [Port].
type Config struct {
	// Listener accepts the connections; the port owns it from Open on, also
	// when Open fails.
	Listener net.Listener
	// Secret is the cluster secret, at least 32 bytes; see [LoadSecret].
	Secret []byte
	// Identity returns who this node is now. It is called for every
	// handshake, from many goroutines.
	Identity func() Identity
	// AllowRaft reports whether a node may open Raft streams to this one; nil
	// allows nobody. Called like Identity.
	AllowRaft func(nodeID string) bool
	// Resolve returns the newest known peer address of a node; nil knows
	// none. It is called for every dial and returns at once.
	Resolve func(nodeID string) (addr string, ok bool)
	// Logger gets refused handshakes, at most one line a second; nil discards.
	Logger *slog.Logger
	// HandshakeTimeout bounds each handshake; zero is [DefaultHandshakeTimeout].
	HandshakeTimeout time.Duration
	// MaxHandshakes bounds the inbound handshakes under way; zero is
	// [DefaultMaxHandshakes].
	MaxHandshakes int
}

// validate returns all that is wrong with c, having filled in defaults.
func (c *Config) validate() error {
	var errs []error
	if c.Listener == nil {
		errs = append(errs, errors.New("listener is missing"))
	}
	if c.Identity == nil {
		errs = append(errs, errors.New("identity is missing"))
	} else if err := checkNodeID(c.Identity().NodeID); err != nil {
		errs = append(errs, fmt.Errorf("identity: %w", err))
	}
	if err := checkSecret(c.Secret); err != nil {
		errs = append(errs, fmt.Errorf("secret: %w", err))
	}
	if c.HandshakeTimeout < 0 || c.MaxHandshakes < 0 {
		errs = append(errs, errors.New("handshake timeout and number may not be negative"))
	}
	if c.AllowRaft == nil {
		c.AllowRaft = func(string) bool { return false }
	}
	if c.Resolve == nil {
		c.Resolve = func(string) (string, bool) { return "", false }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = DefaultHandshakeTimeout
	}
	if c.MaxHandshakes == 0 {
		c.MaxHandshakes = DefaultMaxHandshakes
	}
	if err := errors.Join(errs...); err != nil {
		return &hawser.Error{Code: hawser.CodeInvalid, Op: "peer port", Err: err}
	}
	return nil
}
