// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package throttle holds work that moves many bytes to a rate, so that it leaves
// disk, line and processor to what is more urgent.
package throttle
