// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package procs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// Network is a few network namespaces, a host each, joined by a bridge through
// which they and this process reach each other. Making one takes root and the
// program ip; the names hold the process's id, so that networks of several
// processes do not meet. It is for one goroutine.
type Network struct {
	name  string // of the bridge, and the beginning of all others
	hosts []string
	undo  [][]string // arguments of ip, in reverse order
}

// NewNetwork makes a network of so many hosts, at most 200. The caller closes
// it; after an error nothing is left of it.
func NewNetwork(hosts int) (*Network, error) {
	if hosts < 1 || hosts > 200 {
		return nil, fmt.Errorf("network of %d hosts: has 1 to 200", hosts)
	}
	n := &Network{name: "hw" + strconv.Itoa(os.Getpid())}
	if err := n.make(hosts); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// make uses the addresses 198.18.0.0/15, which are set aside for benchmarks.
func (n *Network) make(hosts int) error {
	subnet := fmt.Sprintf("198.18.%d.", os.Getpid()%256)
	err := n.do("link add "+n.name+" type bridge", "link del "+n.name)
	err = errors.Join(err, n.do("addr add "+subnet+"254/24 dev "+n.name, ""), n.do("link set "+n.name+" up", ""))
	for i := 0; i < hosts && err == nil; i++ {
		host, space, inside := subnet+strconv.Itoa(i+1), n.space(i), n.name+"i"+strconv.Itoa(i)
		n.hosts = append(n.hosts, host)
		for _, step := range [][2]string{
			{"netns add " + space, "netns del " + space},
			{"link add " + n.link(i) + " type veth peer name " + inside, "link del " + n.link(i)},
			{"link set " + inside + " netns " + space},
			{"link set " + n.link(i) + " master " + n.name},
			{"link set " + n.link(i) + " up"},
			{"-n " + space + " addr add " + host + "/24 dev " + inside},
			{"-n " + space + " link set " + inside + " up"},
			{"-n " + space + " link set lo up"},
		} {
			if err = n.do(step[0], step[1]); err != nil {
				break
			}
		}
	}
	return err
}

func (n *Network) space(i int) string { return n.name + "n" + strconv.Itoa(i) }

// link is the end of a host's cable at the bridge.
func (n *Network) link(i int) string { return n.name + "h" + strconv.Itoa(i) }

// do runs ip and notes what undoes it.
func (n *Network) do(step, undo string) error {
	if err := ip(strings.Fields(step)); err != nil {
		return err
	}
	if undo != "" {
		n.undo = append(n.undo, strings.Fields(undo))
	}
	return nil
}

func ip(args []string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Hosts returns the addresses. The caller must not change them.
func (n *Network) Hosts() []string { return n.hosts }

// Within returns the command that runs another one on host i. It becomes the
// other one, under the same process id.
func (n *Network) Within(i int) []string { return []string{"ip", "netns", "exec", n.space(i)} }

// Cut pulls the cable of host i: what it sends and what is sent to it vanishes,
// and nobody is told.
func (n *Network) Cut(i int) error { return ip([]string{"link", "set", n.link(i), "down"}) }

// Mend puts the cable back.
func (n *Network) Mend(i int) error { return ip([]string{"link", "set", n.link(i), "up"}) }

// Close removes the network. What runs in it must have ended. Closing again
// does nothing.
func (n *Network) Close() error {
	var errs []error
	for len(n.undo) > 0 {
		last := len(n.undo) - 1
		errs = append(errs, ip(n.undo[last]))
		n.undo = n.undo[:last]
	}
	return errors.Join(errs...)
}
