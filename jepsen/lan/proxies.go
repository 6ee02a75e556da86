// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package lan

import "net/netip"

// Host is a program behind [Proxies].
type Host struct {
	// At is the address of loopback at which others reach it, Listens the one at
	// which it listens. Ports are the same at both.
	At, Listens netip.Addr
	// TCP are the ports for connections. UDP is the one for datagrams, and that from
	// which it sends them.
	TCP []uint16
	UDP uint16
}
