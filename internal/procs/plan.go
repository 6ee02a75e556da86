// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package procs

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"github.com/hawserdb/hawser/internal/freeport"
)

// Node is where one node of a local cluster lives.
type Node struct {
	Name string
	// Dir is its data directory, Log the file with its output.
	Dir, Log string
	// Addresses, host:port.
	Client, Peer, Gossip, HTTP string
	// Listens is the host at whose ports it listens, if that is another one than
	// others reach it at.
	Listens string
}

// at returns where the node listens for what others reach at an address.
func (n Node) at(address string) string {
	if n.Listens == "" {
		return address
	}
	_, port, _ := net.SplitHostPort(address)
	return net.JoinHostPort(n.Listens, port)
}

// Ports that the addresses of a node have apart, as in the defaults 7420,
// 7421, 7422 and 7480, and that two nodes have apart.
const (
	peerOffset   = 1
	gossipOffset = 2
	httpOffset   = 60
	nodeStep     = 10
	// MaxPlanned is the most nodes of a plan: with a seventh, the addresses
	// of two nodes would meet.
	MaxPlanned = 6
)

// DefaultBasePort is the client port of the first node of a plan.
const DefaultBasePort = 7420

// Plan lays out nodes n1, n2, ... under dir, on loopback, node i with its
// ports at basePort + 10*(i-1). Errors say what number is out of range.
func Plan(dir string, nodes, basePort int) ([]Node, error) {
	if nodes < 1 || nodes > MaxPlanned {
		return nil, fmt.Errorf("%d nodes: a local cluster has 1 to %d", nodes, MaxPlanned)
	}
	if last := basePort + (nodes-1)*nodeStep + httpOffset; basePort < 1024 || last > 65535 {
		return nil, fmt.Errorf("base port %d: the ports from it to %d must lie between 1024 and 65535", basePort, last)
	}
	plan := make([]Node, nodes)
	for i := range plan {
		port := basePort + i*nodeStep
		plan[i] = node(dir, i, [4]int{port, port + peerOffset, port + gossipOffset, port + httpOffset})
	}
	return plan, nil
}

// PlanFree is Plan with ports of [freeport].
func PlanFree(dir string, nodes int) ([]Node, error) {
	ports, err := freeport.Take(nodes * 4)
	if err != nil {
		return nil, err
	}
	plan := make([]Node, nodes)
	for i := range plan {
		plan[i] = node(dir, i, [4]int(ports[i*4:]))
	}
	return plan, nil
}

// PlanBehind is PlanFree, with each node to be reached at a host of its own, where
// the caller hands on what comes to the same port of loopback.
func PlanBehind(dir string, hosts []string) ([]Node, error) {
	plan, err := PlanFree(dir, len(hosts))
	for i := range plan {
		n := &plan[i]
		n.Listens, _, _ = net.SplitHostPort(n.Client)
		for _, address := range []*string{&n.Client, &n.Peer, &n.Gossip, &n.HTTP} {
			_, port, _ := net.SplitHostPort(*address)
			*address = net.JoinHostPort(hosts[i], port)
		}
	}
	return plan, err
}

// PlanHosts lays out one node under dir for each host, all with the ports of
// the first node of [Plan].
func PlanHosts(dir string, hosts []string) []Node {
	plan := make([]Node, len(hosts))
	for i, host := range hosts {
		plan[i] = nodeOn(host, dir, i, [4]int{
			DefaultBasePort, DefaultBasePort + peerOffset, DefaultBasePort + gossipOffset, DefaultBasePort + httpOffset,
		})
	}
	return plan
}

func node(dir string, i int, ports [4]int) Node { return nodeOn("127.0.0.1", dir, i, ports) }

func nodeOn(host, dir string, i int, ports [4]int) Node {
	name := "n" + strconv.Itoa(i+1)
	at := func(port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
	return Node{
		Name: name, Dir: filepath.Join(dir, name), Log: filepath.Join(dir, name+".log"),
		Client: at(ports[0]), Peer: at(ports[1]), Gossip: at(ports[2]), HTTP: at(ports[3]),
	}
}

// CheckFree returns an error that names every address of the plan that is
// taken.
func CheckFree(plan []Node) error {
	var taken []error
	for _, n := range plan {
		for _, a := range []struct{ use, address string }{
			{"client", n.Client}, {"peer", n.Peer}, {"gossip", n.Gossip}, {"http", n.HTTP},
		} {
			if err := checkFree(a.address, a.use == "gossip"); err != nil {
				taken = append(taken, fmt.Errorf("%s address of %s: %w", a.use, n.Name, err))
			}
		}
	}
	return errors.Join(taken...)
}

func checkFree(address string, udp bool) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if err := l.Close(); err != nil || !udp {
		return err
	}
	c, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	return c.Close()
}
