// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"

	"github.com/hawserdb/hawser/cluster/membership"
)

// Defaults of [Config].
const (
	DefaultClientAddr = "127.0.0.1:7420"
	DefaultPeerAddr   = "127.0.0.1:7421"
	DefaultGossipAddr = "127.0.0.1:7422"
	DefaultHTTPAddr   = "127.0.0.1:7480"
	// DefaultVoters is how many voters a cluster aims at.
	DefaultVoters = 3
)

// Config configures a [Node]. Zero values mean the defaults named here.
type Config struct {
	// DataDir holds everything that the node keeps. Required. It is made with
	// mode 0700 if it is not there, and belongs to one node for ever.
	DataDir string
	// Name is the operator's name for the node, 1 to 48 of a-z, 0-9 and '-'.
	// Required.
	Name string
	// ClientAddr, PeerAddr, GossipAddr and HTTPAddr are where the node
	// listens, host:port. Port 0 picks a free one.
	ClientAddr, PeerAddr, GossipAddr, HTTPAddr string
	// AdvertiseHost is the host under which others reach the node. Required
	// when the peer address is unspecified (0.0.0.0 or ::).
	AdvertiseHost string
	// SecretFile holds the cluster secret. Required unless the node starts a
	// cluster of one on loopback; then one is made in DataDir.
	SecretFile string
	// BootstrapExpect is how many nodes found the cluster together: the ones
	// of Join and this one. 0: do not found one, join one.
	BootstrapExpect int
	// Join lists peer addresses of other nodes, host:port.
	Join []string
	// Voters is how many voters the cluster aims at; the leader promotes
	// standbys up to it. Default: the larger of 3 and BootstrapExpect.
	Voters int
	// LogStore is "wal" (default) or "boltdb".
	LogStore string
	// MinFreeDisk is the mark in bytes below which a node counts as full.
	// Default: the larger of 5 % of the file system and 2 GiB. Negative: none.
	MinFreeDisk int64
	// TLSCert and TLSKey are PEM files for the client port. Without them a
	// client address that is not loopback needs Insecure.
	TLSCert, TLSKey string
	Insecure        bool
	// Logger takes the node's log; default: none.
	Logger *slog.Logger
	// Version is the program's version, shown to operators.
	Version string
	// Tuning changes timing for tests.
	Tuning Tuning
}

// withDefaults returns c with every zero value replaced.
func (c Config) withDefaults() Config {
	set := func(s *string, value string) {
		if *s == "" {
			*s = value
		}
	}
	set(&c.ClientAddr, DefaultClientAddr)
	set(&c.PeerAddr, DefaultPeerAddr)
	set(&c.GossipAddr, DefaultGossipAddr)
	set(&c.HTTPAddr, DefaultHTTPAddr)
	set(&c.LogStore, "wal")
	if c.Voters == 0 {
		c.Voters = max(DefaultVoters, c.BootstrapExpect)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate returns every fault of c, joined.
func (c Config) Validate() error {
	c = c.withDefaults()
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.DataDir == "" {
		fault("data directory: none given; choose one with --data-dir")
	}
	if err := membership.CheckNodeName(c.Name); err != nil {
		faults = append(faults, err)
	}
	for name, addr := range map[string]string{
		"client address": c.ClientAddr, "peer address": c.PeerAddr, "gossip address": c.GossipAddr, "http address": c.HTTPAddr,
	} {
		if err := checkAddr(addr, true); err != nil {
			fault("%s %q: %w", name, addr, err)
		}
	}
	for _, addr := range c.Join {
		if err := checkAddr(addr, false); err != nil {
			fault("join address %q: %w", addr, err)
		}
	}
	if c.AdvertiseHost == "" && unspecified(c.PeerAddr) {
		fault("peer address %q: other nodes cannot dial it; give the host under which they reach this node with --advertise-host", c.PeerAddr)
	}
	if c.AdvertiseHost != "" && unspecified(net.JoinHostPort(c.AdvertiseHost, "1")) {
		fault("advertise host %q: is not an address that others can dial", c.AdvertiseHost)
	}
	if c.LogStore != "wal" && c.LogStore != "boltdb" {
		fault("log store %q: is neither wal nor boltdb", c.LogStore)
	}
	if c.BootstrapExpect < 0 || c.BootstrapExpect > maxVoters || c.Voters < 1 || c.Voters > maxVoters {
		fault("bootstrap expect %d, voters %d: must be at most %d and not negative", c.BootstrapExpect, c.Voters, maxVoters)
	}
	if c.BootstrapExpect == 0 && len(c.Join) == 0 {
		fault("neither --bootstrap-expect nor --join is given: a node founds a cluster (--bootstrap-expect 1 for one alone) or joins one")
	}
	faults = append(faults, c.checkSecurity()...)
	slices.SortFunc(faults, func(a, b error) int { return compareText(a, b) })
	return errors.Join(faults...)
}

const maxVoters = 7

func (c Config) checkSecurity() (faults []error) {
	if c.SecretFile == "" && !c.alone() {
		faults = append(faults, errors.New("cluster secret: a file is needed (--cluster-secret-file) with other nodes or with a peer or gossip address that is not loopback; make one with \"hawser secret generate\""))
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		faults = append(faults, errors.New("client TLS: certificate and key are given together or not at all"))
	}
	if !loopback(c.ClientAddr) && c.TLSCert == "" && !c.Insecure {
		faults = append(faults, fmt.Errorf("client address %q: is not loopback, so it needs TLS: --tls-cert and --tls-key (or --insecure, which sends states in clear)", c.ClientAddr))
	}
	return faults
}

// alone reports whether the node needs nobody else's secret.
func (c Config) alone() bool {
	return c.BootstrapExpect <= 1 && len(c.Join) == 0 && loopback(c.PeerAddr) && loopback(c.GossipAddr)
}

func compareText(a, b error) int {
	switch {
	case a.Error() < b.Error():
		return -1
	case a.Error() > b.Error():
		return 1
	}
	return 0
}

func checkAddr(addr string, zeroPort bool) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("is not host:port")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 && !zeroPort {
		return errors.New("its port is not a number from 1 to 65535")
	}
	if !zeroPort && (host == "" || unspecified(addr)) {
		return errors.New("its host cannot be dialled")
	}
	return nil
}

func unspecified(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// advertised returns the address under which others reach a listener.
func (c Config) advertised(bound net.Addr) string {
	host, port, err := net.SplitHostPort(bound.String())
	if err != nil {
		return bound.String()
	}
	if c.AdvertiseHost != "" {
		host = c.AdvertiseHost
	}
	return net.JoinHostPort(host, port)
}

// gossipAdvertise returns the gossip address that others are told, "" for the
// bound one. Port 0 means the bound port.
func (c Config) gossipAdvertise() string {
	if c.AdvertiseHost == "" {
		return ""
	}
	_, port, err := net.SplitHostPort(c.GossipAddr)
	if err != nil {
		return ""
	}
	return net.JoinHostPort(c.AdvertiseHost, port)
}
