// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/hawserdb/hawser"
)

// endpoint resolves host:port to one IP address and port. memberlist itself
// binds every interface when it is given a host name.
func endpoint(ctx context.Context, what, addr string) (netip.AddrPort, error) {
	bad := func(msg string, err error) (netip.AddrPort, error) {
		return netip.AddrPort{}, &hawser.Error{Code: hawser.CodeInvalid, Op: what, Key: addr, Msg: msg, Err: err}
	}
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return bad("must be host:port", err)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return bad("port must be a number below 65536", nil)
	}
	if host == "" {
		return bad("host is missing; name an address of this machine, or 0.0.0.0", nil)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(ip.Unmap(), uint16(port)), nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return bad("", err)
	}
	if len(ips) == 0 {
		return bad("has no address", nil)
	}
	best := ips[0].Unmap()
	for _, ip := range ips {
		if ip.Unmap().Is4() { // one choice on every machine: IPv4 if there is one
			best = ip.Unmap()
			break
		}
	}
	return netip.AddrPortFrom(best, uint16(port)), nil
}

// advertised returns what others are told, from the configured address and
// the bound one.
func advertised(ctx context.Context, cfg *Config, bound netip.AddrPort) (netip.AddrPort, error) {
	if cfg.AdvertiseAddr == "" {
		if bound.Addr().IsUnspecified() {
			return netip.AddrPort{}, &hawser.Error{
				Code: hawser.CodeInvalid, Op: "gossip address", Key: cfg.BindAddr,
				Msg: "is every address of the machine: name the one that others can reach as advertise address",
			}
		}
		return bound, nil
	}
	a, err := endpoint(ctx, "gossip advertise address", cfg.AdvertiseAddr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if a.Addr().IsUnspecified() {
		return netip.AddrPort{}, &hawser.Error{Code: hawser.CodeInvalid, Op: "gossip advertise address", Key: cfg.AdvertiseAddr, Msg: "is not an address that others can reach"}
	}
	if a.Port() == 0 {
		a = netip.AddrPortFrom(a.Addr(), bound.Port())
	}
	return a, nil
}

// bindError explains why the sockets could not be opened.
func bindError(addr string, err error) error {
	return &hawser.Error{
		Code: hawser.CodeUnavailable, Op: "gossip address", Key: addr,
		Msg: "cannot be bound (UDP and TCP)", Err: fmt.Errorf("memberlist: %w", err),
	}
}
