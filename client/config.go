// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
)

// DefaultEndpoint is where a node listens unless it is told otherwise.
const DefaultEndpoint = "127.0.0.1:7420"

// DefaultRequestTimeout is the budget of one call.
const DefaultRequestTimeout = 10 * time.Second

// DefaultCachedBytes bounds the copies of states that a client keeps.
const DefaultCachedBytes = 256 << 20

// Config says how to reach a cluster. The zero value reaches a node on this
// machine.
type Config struct {
	// Endpoints are client addresses of nodes, host:port. One is enough, all
	// are better. Default: [DefaultEndpoint].
	Endpoints []string
	// Namespace of the agents. Default: hawser.DefaultNamespace.
	Namespace string
	// RequestTimeout is the budget of one call including its repetitions, for
	// contexts that do not end earlier. A state of more than 128 KiB adds twice
	// the time that it takes at 10 MB/s. Default: [DefaultRequestTimeout].
	RequestTimeout time.Duration
	// Instance is recorded in every version that the client saves: the
	// process that wrote it. At most hawser.MaxInstance bytes. Default: host
	// name, process id and a random part.
	Instance string
	// TLS secures the connections; nil means plain text.
	TLS *tls.Config
	// Logger gets what went wrong and was repeated, at debug level. Default:
	// nothing is logged.
	Logger *slog.Logger
	// MaxCachedBytes bounds the copies of states that the client keeps: of each
	// agent the newest that it saved or restored, so that the next save is sent
	// as the difference to it. What was not used for longest goes first; agents
	// without a copy, and states that do not fit, are saved whole. Default:
	// [DefaultCachedBytes]; negative: none is kept.
	MaxCachedBytes int64
	// DialOptions are added to those of the client.
	DialOptions []grpc.DialOption
}

// withDefaults returns cfg with every zero field filled.
func (cfg Config) withDefaults() Config {
	if len(cfg.Endpoints) == 0 {
		cfg.Endpoints = []string{DefaultEndpoint}
	}
	if cfg.Namespace == "" {
		cfg.Namespace = hawser.DefaultNamespace
	}
	if cfg.RequestTimeout == 0 {
		cfg.RequestTimeout = DefaultRequestTimeout
	}
	if cfg.Instance == "" {
		cfg.Instance = newInstance()
	}
	if cfg.MaxCachedBytes == 0 {
		cfg.MaxCachedBytes = DefaultCachedBytes
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg
}

// Validate reports everything that is wrong with cfg. Errors match
// hawser.ErrInvalid.
func (cfg Config) Validate() error {
	var errs []error
	for i, endpoint := range cfg.Endpoints {
		if err := checkEndpoint(endpoint); err != nil {
			errs = append(errs, configError(fmt.Sprintf("Endpoints[%d]", i), err.Error()))
		}
	}
	if cfg.Namespace != "" {
		if err := hawser.CheckNamespace(cfg.Namespace); err != nil {
			errs = append(errs, err)
		}
	}
	if cfg.RequestTimeout < 0 {
		errs = append(errs, configError("RequestTimeout", "is negative"))
	}
	if len(cfg.Instance) > hawser.MaxInstance {
		errs = append(errs, configError("Instance", fmt.Sprintf("is longer than %d bytes", hawser.MaxInstance)))
	}
	return errors.Join(errs...)
}

func configError(field, why string) error {
	return &hawser.Error{Code: hawser.CodeInvalid, Op: "client config", Key: field, Msg: why}
}

// checkEndpoint takes host:port with neither part empty.
func checkEndpoint(endpoint string) error {
	host, port, err := net.SplitHostPort(endpoint)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not host:port: %w", endpoint, err)
	case host == "" || port == "" || strings.ContainsAny(endpoint, " \t\r\n/"):
		return fmt.Errorf("%q is not host:port", endpoint)
	}
	return nil
}

func newInstance() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	if len(host) > 64 {
		host = host[:64]
	}
	var b [4]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	return fmt.Sprintf("%s-%d-%s", strings.ToValidUTF8(host, ""), os.Getpid(), hex.EncodeToString(b[:]))
}
