// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package recovery

import (
	"os"
	"syscall"
)

func ownGroup() *syscall.SysProcAttr { return nil }

// terminate and kill end the process; there is no way to ask it.
func terminate(p *os.Process) { _ = p.Kill() }

func kill(p *os.Process) { _ = p.Kill() }

func exitOf(s *os.ProcessState) Exit { return Exit{Code: s.ExitCode()} }
