// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package client

import "time"

// bootNow is a clock that nobody sets. It may stand still while the machine
// sleeps: a claim is then found lost only with the next answer of the cluster,
// and its fence protects what is saved.
func bootNow() time.Duration { return monotonicNow() }
