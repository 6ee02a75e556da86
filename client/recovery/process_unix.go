// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package recovery

import (
	"os"
	"syscall"
)

// ownGroup keeps a signal that is typed at the terminal from the process: who
// supervises it decides how it ends.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// terminate asks the process and what it has started to end, kill ends them. A
// process that stands still would not hear it.
func terminate(p *os.Process) {
	_ = syscall.Kill(-p.Pid, syscall.SIGTERM)
	_ = syscall.Kill(-p.Pid, syscall.SIGCONT)
}

func kill(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }

func exitOf(s *os.ProcessState) Exit {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return Exit{Code: -1, Signal: w.Signal().String()}
	}
	return Exit{Code: s.ExitCode()}
}
