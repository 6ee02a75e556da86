// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package lan

import "errors"

// Proxies is a network of programs; see the version for Linux.
type Proxies struct{}

// NewProxies fails: whose a connection is can be found out on Linux only.
func NewProxies([]Host, func(host int) int, uint64) (*Proxies, error) {
	return nil, errors.New("proxies need Linux")
}

// Spoil does nothing.
func (p *Proxies) Spoil([][2]int, Quality) func() { return func() {} }

// Lost returns 0.
func (p *Proxies) Lost(...[2]int) uint64 { return 0 }

// Delayed returns 0.
func (p *Proxies) Delayed(...[2]int) uint64 { return 0 }

// Close does nothing.
func (p *Proxies) Close() error { return nil }
