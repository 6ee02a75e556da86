// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
)

func terminate(process *os.Process) { _ = process.Kill() } // there is no softer way

func exitCodeOf(exit *exec.ExitError) int { return exit.ExitCode() }
