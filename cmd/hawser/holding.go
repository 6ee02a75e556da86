// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

const (
	flagTTL      = "ttl"
	flagPriority = "priority"
	flagNoWait   = "no-wait"
	flagCapacity = "capacity"
	flagInstance = "instance"
	flagGrace    = "grace"
	flagRestart  = "restart"
)

// When a command is run again.
const (
	restartNever     = "never"
	restartOnFailure = "on-failure"
	restartAlways    = "always"
)

// The pause before a command is run again: none at first, then minRestart, twice as
// long each time up to maxRestart. One that ran for longer than that begins anew.
const minRestart, maxRestart = time.Second, time.Minute

// What a command that runs under a claim or lock finds in its environment.
const (
	envFence    = "HAWSER_FENCE"
	envAgent    = "HAWSER_AGENT"
	envLock     = "HAWSER_LOCK"
	envInstance = "HAWSER_INSTANCE"
)

// held is a claim or a lock.
type held interface {
	Fence() hawser.Fence
	Done() <-chan struct{}
	Err() error
	Release(ctx context.Context) error
}

func holdFlags() []cli.Flag {
	return []cli.Flag{
		&cli.DurationFlag{Name: flagTTL, Value: hawser.DefaultTTL, Usage: "be given up this `TIME` after the last sign of life"},
		&cli.IntFlag{Name: flagPriority, Usage: "be served before those who wait with a lower `N`"},
		&cli.BoolFlag{Name: flagNoWait, Usage: "fail when somebody else holds it (exit code 4)"},
		&cli.StringFlag{Name: flagInstance, Usage: "say who holds it: `NAME`", DefaultText: "host name, process, random"},
		&cli.DurationFlag{Name: flagGrace, Value: 10 * time.Second, Usage: "after a signal, let COMMAND end within `TIME` before it is killed"},
	}
}

func holdOptions(c *cli.Context) []client.HoldOption {
	options := []client.HoldOption{client.TTL(c.Duration(flagTTL)), client.Priority(int32(c.Int(flagPriority)))}
	if c.Bool(flagNoWait) {
		options = append(options, client.NoWait())
	}
	return options
}

func (p *program) agentRun() *cli.Command {
	return &cli.Command{
		Name: "run", Usage: "run a command while this process owns an agent", ArgsUsage: "AGENT COMMAND [ARG...]",
		Description: `Waits until the agent is this process's, runs COMMAND, and releases the agent
when it ends, so that the next one in the queue takes over at once. COMMAND is
told to end (SIGTERM) when the agent is lost, and killed before the cluster
gives the agent to somebody else. Its exit code is this command's.

COMMAND finds HAWSER_AGENT, HAWSER_INSTANCE and HAWSER_FENCE in its environment;
"hawser state save" of that agent carries the fence by itself, other programs
hand it on to the client (WithFence). The --endpoints, --namespace and --tls-ca of
this command are COMMAND's too, in HAWSER_ENDPOINTS and so on.

Examples:
   hawser agent run researcher-7 -- env
   hawser agent run researcher-7 --ttl 10s --instance worker-a -- date
   hawser agent run researcher-7 --restart on-failure -- env`,
		Flags: append(holdFlags(), &cli.StringFlag{
			Name: flagRestart, Value: restartNever, Usage: "run COMMAND again when it ends: `WHEN` is never, on-failure or always; when the agent is lost, wait for it again",
		}),
		Action: func(c *cli.Context) error {
			return p.hold(c, func(ctx context.Context, conn *client.Client) (held, string, error) {
				agent := conn.Agent(c.Args().First())
				claim, err := agent.Claim(ctx, holdOptions(c)...)
				return claim, envAgent + "=" + agent.ID().String(), err
			})
		},
	}
}

func (p *program) lock() *cli.Command {
	return &cli.Command{
		Name: "lock", Usage: "run a command while this process holds a lock", ArgsUsage: "NAME COMMAND [ARG...]",
		Description: `Waits until the lock is this process's, runs COMMAND, and releases the lock
when it ends. COMMAND is told to end (SIGTERM) when the lock is lost, and killed
before the cluster gives it to somebody else. Its exit code is this command's.

COMMAND finds HAWSER_LOCK, HAWSER_INSTANCE and HAWSER_FENCE in its environment. A
lock whose fence nobody checks protects nothing from a process that stood still:
see docs/coordination.md.

Examples:
   hawser lock nightly-report -- date
   hawser lock gpu --capacity 2 --no-wait -- env`,
		Flags: append(holdFlags(), &cli.Uint64Flag{Name: flagCapacity, Value: 1, Usage: "let `N` hold it at once; all must say the same"}),
		Action: func(c *cli.Context) error {
			return p.hold(c, func(ctx context.Context, conn *client.Client) (held, string, error) {
				name := c.Args().First()
				lock, err := conn.Lock(ctx, name, append(holdOptions(c), client.Capacity(uint32(min(c.Uint64(flagCapacity), math.MaxUint32))))...)
				return lock, envLock + "=" + conn.Namespace() + "/" + name, err
			})
		},
	}
}

// hold runs the command under what acquire waits for.
func (p *program) hold(c *cli.Context, acquire func(context.Context, *client.Client) (held, string, error)) error {
	if c.Duration(flagGrace) < 0 {
		return usageErrorf("--%s %s: must not be negative", flagGrace, c.Duration(flagGrace))
	}
	if when := restart(c); !slices.Contains([]string{restartNever, restartOnFailure, restartAlways}, when) {
		return usageErrorf("--%s %q: is never, on-failure or always", flagRestart, when)
	}
	program, err := exec.LookPath(c.Args().Get(1))
	if err != nil {
		return usageErrorf("COMMAND: %v", err)
	}
	cfg, err := clientConfig(c, endpoints(c))
	if err != nil {
		return err
	}
	cfg.Instance = c.String(flagInstance)
	conn, err := client.Dial(cfg)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for {
		lost, err := p.holdOnce(c, conn, program, acquire)
		if !lost || c.Err() != nil || restart(c) == restartNever {
			return err
		}
	}
}

// restart is when the command is run again.
func restart(c *cli.Context) string { return cmp.Or(c.String(flagRestart), restartNever) }

// holdOnce runs the command until it is over or what it runs under is lost.
func (p *program) holdOnce(
	c *cli.Context, conn *client.Client, program string, acquire func(context.Context, *client.Client) (held, string, error),
) (lost bool, err error) {
	h, name, err := acquire(c.Context, conn)
	if err != nil {
		return false, explain(err, endpoints(c))
	}
	command := func() *exec.Cmd {
		child := exec.Command(program, c.Args().Slice()[2:]...)
		child.Stdin, child.Stdout, child.Stderr = p.stdin, p.stdout, p.stderr
		child.Env = append(child.Environ(), name, fmt.Sprintf("%s=%d", envFence, h.Fence().Token), envInstance+"="+conn.Instance())
		for _, flag := range []string{flagEndpoints, flagNamespace, flagTLSCA} { // what it calls hawser for is in the same place
			if value := c.String(flag); value != "" {
				child.Env = append(child.Env, environmentName(c.Command, flag)+"="+value)
			}
		}
		return child
	}
	err = p.superviseAgain(c.Context, command, h, limits{grace: c.Duration(flagGrace), lost: c.Duration(flagTTL) / 10}, restart(c))
	lost = h.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context), releaseTime)
	defer cancel()
	if releaseErr := h.Release(ctx); releaseErr != nil && err == nil {
		say(p.stderr, "hawser: %v; the next one waits until the time to live is over\n", releaseErr)
	}
	return lost, err
}

// superviseAgain runs a command, again when that is asked for, until what it runs
// under is lost.
func (p *program) superviseAgain(ctx context.Context, command func() *exec.Cmd, h held, limit limits, when string) error {
	pause := time.Duration(0)
	for {
		began := time.Now()
		err := p.supervise(ctx, command(), h, limit)
		exit, ran := errors.AsType[*exitError](err)
		switch {
		case ctx.Err() != nil || h.Err() != nil || err != nil && !ran:
			return err
		case when == restartNever || when == restartOnFailure && err == nil:
			return err
		}
		if time.Since(began) > maxRestart {
			pause = 0
		}
		code := 0
		if ran {
			code = exit.code
		}
		say(p.stderr, "hawser: the command ended with exit code %d, and is run again after %v\n", code, pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return &exitError{code: codeInterrupted}
		case <-h.Done():
			return &exitError{code: codeConflict}
		}
		pause = min(max(2*pause, minRestart), maxRestart)
	}
}

// releaseTime bounds the release after the command has ended.
const releaseTime = 2 * time.Second

// limits are how long a command may take to end: after a signal to this
// process, and after what it runs under was lost.
type limits struct{ grace, lost time.Duration }

// supervise runs a command to its end. A signal to this process ends it, as does
// the loss of what it runs under.
func (p *program) supervise(ctx context.Context, child *exec.Cmd, h held, limit limits) error {
	ended, err := start(child)
	if err != nil {
		return err
	}
	select {
	case err := <-ended:
		return exitOf(err)
	case <-ctx.Done():
		if err := exitOf(stop(child, ended, limit, h.Done())); err != nil {
			return err
		}
		return &exitError{code: codeInterrupted}
	case <-h.Done():
		say(p.stderr, "hawser: %s; the command is stopped\n", escapeLines(h.Err().Error()))
		_ = stop(child, ended, limits{grace: limit.lost}, nil) // that it was lost is the answer
		return &exitError{code: codeConflict}
	}
}

// stop tells a command to end, and kills it when that takes too long.
func stop(child *exec.Cmd, ended <-chan error, limit limits, lost <-chan struct{}) error {
	terminate(child.Process)
	kill := time.Now().Add(limit.grace)
	for {
		timer := time.NewTimer(time.Until(kill))
		select {
		case err := <-ended:
			timer.Stop()
			return err
		case <-lost: // while it was taking its time
			timer.Stop()
			lost = nil
			if soon := time.Now().Add(limit.lost); soon.Before(kill) {
				kill = soon
			}
		case <-timer.C:
			_ = child.Process.Kill() // it may just have ended
			return <-ended
		}
	}
}

// exitError is the exit code of a command that was run, which has said itself
// what it had to say.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("the command ended with exit code %d", e.code) }

// exitOf makes the end of a command this program's.
func exitOf(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return &exitError{code: exitCodeOf(exit)}
	}
	return err
}
