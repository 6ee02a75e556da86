// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"fmt"
	"os"
)

// Other returns the program to which all nodes go next: the previous version or
// the one under test, by turns.
func (r *Rig) Other() string {
	r.roles.mu.Lock()
	defer r.roles.mu.Unlock()
	if r.roles.previously {
		return r.program
	}
	return r.Previous
}

// Settle notes which program all nodes have gone over to.
func (r *Rig) Settle(program string) {
	r.roles.mu.Lock()
	defer r.roles.mu.Unlock()
	r.roles.previously = program == r.Previous
	for i := range r.Nodes() {
		r.Use(i, program)
	}
}

// Switch stops a node gracefully, if it runs, and starts it with another program.
func (r *Rig) Switch(ctx context.Context, i int, program string) error {
	if r.Running(i) {
		if err := r.Process(i).Stop(ctx); err != nil {
			return fmt.Errorf("node %s goes over to %s: %w", r.Nodes()[i].Name, program, err)
		}
		if err := r.Explain(i); err != nil {
			return err
		}
	}
	r.Use(i, program)
	return r.Start(i)
}

// Runs reports whether a node runs with a program, as the system says.
func (r *Rig) Runs(i int, program string) bool {
	if !r.Running(i) {
		return false
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", r.Process(i).PID()))
	return err == nil && exe == program
}
