// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"github.com/hawserdb/hawser/internal/procs"
	"github.com/hawserdb/hawser/jepsen/lan"
)

// Network is what joins hosts, a [lan.LAN] or [lan.Proxies].
type Network interface {
	// Spoil makes links worse until mend is called, once. Links are pairs of the
	// host that sends and the one that receives.
	Spoil(links [][2]int, q lan.Quality) (mend func())
	// Lost and Delayed count what the links, or all for none, have lost and held back so
	// far.
	Lost(links ...[2]int) uint64
	Delayed(links ...[2]int) uint64
	// Close removes the network, on whose hosts nothing runs any more.
	Close() error
}

// Joints are what nodes may be joined by, the best first.
var Joints = []string{"namespaces", "proxies", "loopback"}

// join plans nodes that are joined as cfg says, and joins them. One that is not
// asked for by name and cannot be is a warning, and the next one is tried.
func (r *Rig) join(cfg Config, plan *procs.Config) (err error) {
	joints := map[string]func(Config, *procs.Config) error{
		"namespaces": r.joinByNamespaces, "proxies": r.joinByProxies, "loopback": r.joinByLoopback,
	}
	if cfg.Joined != "" {
		join := joints[cfg.Joined]
		if join == nil {
			return fmt.Errorf("nodes cannot be joined by %q, but by one of %q", cfg.Joined, Joints)
		}
		r.Joined = cfg.Joined
		return join(cfg, plan)
	}
	why := ""
	for _, name := range Joints {
		if err = joints[name](cfg, plan); err == nil {
			r.Joined = name + why
			return nil
		}
		cfg.Log.Warn("nodes cannot be joined as they should be", "by", name, "error", err)
		why += fmt.Sprintf(" (no %s: %v)", name, err)
	}
	return err
}

func (r *Rig) joinByNamespaces(cfg Config, plan *procs.Config) error {
	l, err := lan.New(cfg.Nodes+1, cfg.Seed)
	if err != nil {
		return err
	}
	hosts := make([]string, cfg.Nodes+1)
	for i := range hosts {
		hosts[i] = l.Address(i)
	}
	r.Network, plan.Nodes, plan.Within = l, procs.PlanHosts(cfg.Dir, hosts), l.Within
	return nil
}

// joinByProxies has each node reached at an address of loopback that depends on
// this process, so that two of them do not meet.
func (r *Rig) joinByProxies(cfg Config, plan *procs.Config) error {
	at, pid := make([]string, cfg.Nodes+1), os.Getpid()
	for i := range at {
		at[i] = fmt.Sprintf("127.%d.%d.%d", 64+pid/256%128, pid%256, i+1)
	}
	nodes, err := procs.PlanBehind(cfg.Dir, at)
	if err != nil {
		return err
	}
	hosts := make([]lan.Host, len(nodes))
	for i, n := range nodes {
		hosts[i] = lan.Host{
			At: netip.MustParseAddr(at[i]), Listens: netip.MustParseAddr(n.Listens),
			TCP: []uint16{port(n.Client), port(n.Peer), port(n.Gossip), port(n.HTTP)}, UDP: port(n.Gossip),
		}
	}
	p, err := lan.NewProxies(hosts, r.pid, cfg.Seed)
	if err != nil {
		return err
	}
	r.Network, plan.Nodes = p, nodes
	return nil
}

// pid returns the process of a node, 0 for none.
func (r *Rig) pid(i int) int {
	if r.Cluster == nil || !r.Running(i) {
		return 0
	}
	return r.Process(i).PID()
}

func port(address string) uint16 {
	_, text, _ := net.SplitHostPort(address)
	n, _ := strconv.ParseUint(text, 10, 16)
	return uint16(n)
}

func (r *Rig) joinByLoopback(cfg Config, plan *procs.Config) (err error) {
	plan.Nodes, err = procs.PlanFree(cfg.Dir, cfg.Nodes+1)
	return err
}
