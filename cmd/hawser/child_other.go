// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import "os/exec"

// start starts a command. It tells when the command has ended. One whose parent
// is killed goes on here: what it saves is refused by its fence.
func start(child *exec.Cmd) (<-chan error, error) {
	ended := make(chan error, 1)
	if err := child.Start(); err != nil {
		return nil, err
	}
	go func() { ended <- child.Wait() }()
	return ended, nil
}
