// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import "time"

var processStart = time.Now()

func monotonicNow() time.Duration { return time.Since(processStart) }
