// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package registry is for services of which all instances are active: each tells where
// it is, how it does and how busy it is, and callers choose one.
//
//	go registry.Register(ctx, c, registry.Registration{Service: "search", Address: addr, Load: busy})
//
//	d, err := registry.Open(ctx, c, "search")
//	defer d.Close()
//	answer, err := registry.Do(ctx, d, policy, registry.Anyone, ask)
//
// # How it works
//
// An instance owns the agent service/instance, by a claim, and saves there where it is:
// nobody else can. Its claim is what says that it lives; its load and its health go with
// the signs of life of the claim to the cluster's leader and cost no entry of the log
// (see docs/health.md).
//
// A [Directory] reads who owns agents of the service once a second, and at once when one
// of them is claimed, given up, or does otherwise than before. So an instance that ends
// as it should is gone within milliseconds, one that is killed a time to live later, and
// one that fails its checks is left alone about three seconds later. That it fails calls
// its callers notice themselves, at the first one: [Do] goes to another instance at once.
package registry
