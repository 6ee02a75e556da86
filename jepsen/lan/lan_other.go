// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package lan

import "errors"

// LAN is a network of hosts; see the version for Linux.
type LAN struct{}

// New fails: there are network namespaces on Linux only.
func New(n int, seed uint64) (*LAN, error) {
	return nil, errors.New("a network of namespaces needs Linux")
}

// Address returns nothing.
func (l *LAN) Address(host int) string { return "" }

// Within returns nothing.
func (l *LAN) Within(host int) []string { return nil }

// Spoil does nothing.
func (l *LAN) Spoil([][2]int, Quality) func() { return func() {} }

// Lost returns 0.
func (l *LAN) Lost(...[2]int) (lost uint64) { return 0 }

// Delayed returns 0.
func (l *LAN) Delayed(...[2]int) (delayed uint64) { return 0 }

// Close does nothing.
func (l *LAN) Close() error { return nil }
