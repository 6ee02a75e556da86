// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package procs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
)

// Command describes a child process.
type Command struct {
	// Path is the executable.
	Path string
	// Args are its arguments, without the program's name.
	Args []string
	// Env is its environment; nil inherits the parent's.
	Env []string
	// Log is the file to which its output is appended.
	Log string
	// Output takes its standard output instead, unless it is nil. Done is closed
	// after it has got all.
	Output io.Writer
}

// Process is one running or ended child. Its methods may be called from any
// goroutine.
type Process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed after the child was reaped
	err  error         // how it ended; written before done is closed

	closeStdin func() error
	// stopped and killed are that somebody has asked for the end.
	stopped, killed atomic.Bool
}

// Start starts a child. The caller ends it with Stop or Kill.
func Start(c Command) (*Process, error) {
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of a child process: %w", err)
	}
	defer func() { _ = log.Close() }() // the child holds its own descriptor
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = c.Env
	cmd.Stdout, cmd.Stderr = log, log
	if c.Output != nil {
		cmd.Stdout = c.Output
	}
	cmd.SysProcAttr = ownGroup()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("stdin of a child process: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a child process: %w", err)
	}
	p := &Process{cmd: cmd, log: c.Log, done: make(chan struct{}), closeStdin: sync.OnceValue(stdin.Close)}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID returns the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err returns how the child ended: nil while it runs and after exit code 0,
// else an *exec.ExitError.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// ExitCode returns the child's exit code, -1 while it runs or when a signal
// ended it.
func (p *Process) ExitCode() int {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	default:
		return -1
	}
}

// AskedToStop and AskedToEnd report whether the child was asked to end, gracefully or at
// all; a child that has ended by itself before was not told anything by that.
func (p *Process) AskedToStop() bool { return p.stopped.Load() }

// AskedToEnd is that or [Process.Kill].
func (p *Process) AskedToEnd() bool { return p.stopped.Load() || p.killed.Load() }

// Signal sends a signal to the child. A child that has ended is no error.
func (p *Process) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal process %d: %w", p.PID(), err)
	}
	return nil
}

// Stop closes the child's stdin, which asks a node to end gracefully, and
// waits. When ctx ends first it kills the child and returns ctx's error.
func (p *Process) Stop(ctx context.Context) error {
	p.stopped.Store(true)
	// A failed close means that the child is gone already.
	_ = p.closeStdin()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("stop process %d: %w", p.PID(), ctx.Err()), p.Kill())
	}
}

// Kill ends the child at once, as a power cut would, and waits for it.
func (p *Process) Kill() error {
	p.killed.Store(true)
	err := p.cmd.Process.Kill()
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill process %d: %w", p.PID(), err)
	}
	<-p.done
	_ = p.closeStdin()
	return nil
}

// Tail returns up to maxBytes from the end of the child's log, cut at a line.
func (p *Process) Tail(maxBytes int64) string {
	f, err := os.Open(p.log)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	start := max(0, info.Size()-maxBytes)
	text, err := io.ReadAll(io.NewSectionReader(f, start, maxBytes))
	if err != nil {
		return ""
	}
	if _, rest, found := bytes.Cut(text, []byte("\n")); found && start > 0 {
		text = rest
	}
	return string(text)
}
