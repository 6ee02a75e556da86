// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/agent"
)

// What a process that runs an agent finds in its environment.
const (
	// EnvAgent is the agent's name, EnvInstance what the process must give as
	// client.Config.Instance: by that it is known what it owns and saves.
	EnvAgent    = "HAWSER_AGENT"
	EnvInstance = "HAWSER_INSTANCE"
	// EnvBuild is the name of its build, EnvShed how often it was told to do less.
	EnvBuild = "HAWSER_BUILD"
	EnvShed  = "HAWSER_SHED"
)

// Build is one version of an agent's program.
type Build struct {
	Name string
	// Command is the program and its arguments, Env what its environment has beside
	// that of this process.
	Command []string
	Env     []string
}

// Process is a program of this machine that runs an agent.
type Process struct {
	// Agent is its name, Client where it is. Required.
	Agent  string
	Client *client.Client
	// Builds are the newest first; the others are what it is put back to. Required.
	Builds []Build
	// Grace is how long it may take to end when it is told to; 0 is 5 s.
	Grace time.Duration
	// ReadyAfter is when one counts as ready that waits for the agent, owned by
	// another instance; 0 is 5 s.
	ReadyAfter time.Duration
	// HealthURL is asked every second once the process is ready: see [health.Monitor] and
	// [agent.HealthHandler]. An answer of 503 is a failing check, which counts as stuck, or
	// as short of memory if it is called so; three times none in 5 s is one, too. Empty:
	// nothing is asked.
	HealthURL string
	// Output takes what it writes, nil nothing.
	Output io.Writer
}

// Child is a process that runs, or has ended. It is the [Subject] of a supervisor.
type Child struct {
	Process

	changed chan struct{}
	cancel  context.CancelFunc
	tasks   sync.WaitGroup

	mu       sync.Mutex
	build    int
	shed     int
	failed   int // starts of this build in a row
	cmd      *exec.Cmd
	instance string
	began    time.Time
	ready    bool
	progress time.Time
	// unhealthy is what it says is wrong with it.
	unhealthy []string
	exit      *Exit
	ended     chan struct{} // closed when the newest process has
}

// maxTail bounds what is kept of what a process writes.
const maxTail = 8 << 10

// StartProcess starts the newest build. Close ends it, also after ctx has.
func StartProcess(ctx context.Context, p Process) (*Child, error) {
	if p.Agent == "" || p.Client == nil || len(p.Builds) == 0 || len(p.Builds[0].Command) == 0 {
		return nil, &hawser.Error{Code: hawser.CodeInvalid, Op: "start process", Key: p.Agent, Msg: "it needs an agent, a client, and a build with a command"}
	}
	if p.Grace == 0 {
		p.Grace = 5 * time.Second
	}
	if p.ReadyAfter == 0 {
		p.ReadyAfter = 5 * time.Second
	}
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &Child{Process: p, changed: make(chan struct{}, 1), cancel: cancel}
	c.tasks.Go(func() { c.watch(watching) })
	if p.HealthURL != "" {
		c.tasks.Go(func() { c.probe(watching) })
	}
	if err := c.start(); err != nil { //nolint:contextcheck // what is given back for a dead process outlives ctx
		return nil, errors.Join(err, c.Close()) //nolint:contextcheck // as above
	}
	return c, nil
}

// Changed implements [Subject].
func (c *Child) Changed() <-chan struct{} { return c.changed }

func (c *Child) signal() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// watch notes what the process does with its agent, until ctx ends.
func (c *Child) watch(ctx context.Context) {
	var cursor hawser.Cursor
	for ctx.Err() == nil {
		for batch, err := range c.Client.Watch(ctx, client.Name(c.Agent), client.After(cursor), client.Kinds(hawser.EventVersionSaved, hawser.EventClaimGranted)) {
			if err != nil {
				cursor = hawser.Cursor{} // from now on: what was missed is no sign of failure
				break
			}
			cursor = batch.Cursor
			for _, e := range batch.Events {
				c.noteProgress(e.Instance)
			}
		}
		sleep(ctx, observeEvery)
	}
}

func (c *Child) noteProgress(instance string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if instance != c.instance {
		return
	}
	c.ready, c.progress, c.failed = true, time.Now(), 0
	c.signal()
}

// Observe implements [Subject].
func (c *Child) Observe(context.Context) (Evidence, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := Evidence{Exit: c.exit, FailedStarts: c.failed}
	if e.Ready = c.ready; c.exit == nil {
		e.Idle, e.Unhealthy = time.Since(c.progress), slices.Clone(c.unhealthy)
		e.Ready = e.Ready || time.Since(c.began) > c.ReadyAfter
	}
	return e, nil
}

// start starts a process of the present build.
func (c *Child) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.Builds[c.build]
	nonce := hawser.NewNonce()
	host, err := os.Hostname()
	if err != nil {
		host = "host"
	}
	c.instance = host + "-" + hex.EncodeToString(nonce[:6])
	cmd := exec.Command(b.Command[0], b.Command[1:]...)
	cmd.Env = append(slices.Concat(cmd.Environ(), b.Env),
		EnvAgent+"="+c.Agent, EnvInstance+"="+c.instance, EnvBuild+"="+b.Name, EnvShed+"="+strconv.Itoa(c.shed))
	cmd.SysProcAttr = ownGroup()
	tail := &tail{}
	cmd.Stdout, cmd.Stderr = c.Output, tail
	if c.Output != nil {
		cmd.Stderr = io.MultiWriter(c.Output, tail)
	}
	// What it leaves behind may hold its output open.
	cmd.WaitDelay = time.Second
	now := time.Now()
	c.cmd, c.began, c.progress, c.ready, c.exit, c.unhealthy = cmd, now, now, false, nil, nil
	ended := make(chan struct{})
	c.ended = ended
	c.failed++ // until it is ready
	if err := cmd.Start(); err != nil {
		close(ended)
		c.exit = &Exit{Code: -1, Tail: err.Error()}
		return fmt.Errorf("start build %q of agent %q: %w", b.Name, c.Agent, err)
	}
	instance := c.instance
	c.tasks.Go(func() {
		defer close(ended)
		_ = cmd.Wait() // the state says it
		exit := exitOf(cmd.ProcessState)
		exit.Tail, exit.Uptime = tail.String(), time.Since(now)
		c.mu.Lock()
		c.exit = &exit
		c.mu.Unlock()
		c.signal()
		c.bury(instance)
	})
	return nil
}

// bury gives back what a process held that has ended.
func (c *Child) bury(instance string) {
	ctx, cancel := context.WithTimeout(context.Background(), recordTime)
	defer cancel()
	_, _ = c.Client.Agent(c.Agent).ReleaseDead(ctx, instance) // else it ends with its time to live
}

// Act implements [Subject].
func (c *Child) Act(ctx context.Context, action Action, _ agent.Decision) error {
	c.end(ctx)
	switch action {
	case Stop:
		return nil
	case RollBack:
		if err := c.rollBack(ctx); err != nil {
			return err
		}
	case Redeploy:
		c.redeploy()
	case Shed:
		c.mu.Lock()
		c.shed++
		c.mu.Unlock()
	case Restart, HandOver:
	}
	return c.start() //nolint:contextcheck // what is given back for a dead process outlives ctx
}

// redeploy turns to the build before, if there is one.
func (c *Child) redeploy() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed = 0; c.build < len(c.Builds)-1 {
		c.build++
	}
}

// rollBack makes the version before the newest one the newest.
func (c *Child) rollBack(ctx context.Context) error {
	a := c.Client.Agent(c.Agent)
	var numbers []uint64
	for v, err := range a.Versions(ctx, client.Limit(2)) {
		if err != nil {
			return fmt.Errorf("roll back: %w", err)
		}
		numbers = append(numbers, v.Number)
	}
	if len(numbers) < 2 {
		return &hawser.Error{Code: hawser.CodeCorrupt, Op: "roll back", Key: c.Agent, Msg: "it has no older version"}
	}
	_, err := a.Rollback(ctx, numbers[1], client.ExpectVersion(numbers[0]), client.Force())
	return err
}

// end ends the process if it runs, in order at first, and waits for its end.
func (c *Child) end(ctx context.Context) {
	c.mu.Lock()
	cmd, ended := c.cmd, c.ended
	c.mu.Unlock()
	if cmd == nil || cmd.Process == nil {
		return
	}
	select {
	case <-ended:
		return
	default:
	}
	terminate(cmd.Process)
	timer := time.NewTimer(c.Grace)
	defer timer.Stop()
	select {
	case <-ended:
		return
	case <-timer.C:
	case <-ctx.Done():
	}
	kill(cmd.Process)
	<-ended
}

// Close ends the process and what watches it.
func (c *Child) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), c.Grace)
	defer cancel()
	c.end(ctx)
	c.cancel()
	c.tasks.Wait()
	return nil
}

// PID returns the process id of the newest process.
func (c *Child) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil || c.cmd.Process == nil {
		return 0
	}
	return c.cmd.Process.Pid
}

// Build returns the name of the build that was started last.
func (c *Child) Build() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Builds[c.build].Name
}

// tail keeps the end of what is written to it, and the last line that says why a
// program has ended, which a long dump may follow.
type tail struct {
	mu   sync.Mutex
	kept []byte
	line []byte // that is being written, at most maxLine of it
	why  string
}

const maxLine = 512

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for part := range bytes.Lines(b) {
		t.line = append(t.line, part[:min(len(part), maxLine-len(t.line))]...)
		if part[len(part)-1] == '\n' {
			if says(t.line) {
				t.why = string(bytes.TrimSpace(t.line))
			}
			t.line = t.line[:0]
		}
	}
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - maxTail; over > 0 {
		t.kept = slices.Delete(t.kept, 0, over)
	}
	return len(b), nil
}

// says reports whether a line is one of a Go program's last words before the dump.
func says(line []byte) bool {
	return bytes.HasPrefix(line, []byte("panic: ")) || bytes.HasPrefix(line, []byte("fatal error: ")) || bytes.HasPrefix(line, []byte("SIG"))
}

// String returns what is kept, below the line that says why.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.why == "" {
		return string(t.kept)
	}
	return t.why + "\n" + string(t.kept)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// ExitCode returns the exit code by which a process tells its supervisor how
// [agent.Run] has ended.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	if _, ok := errors.AsType[*agent.SchemaError](err); ok {
		return ExitSchema
	}
	if _, ok := errors.AsType[*agent.QuarantinedError](err); ok {
		return ExitQuarantined
	}
	if errors.Is(err, hawser.ErrCorrupt) {
		return ExitCorruptState
	}
	return 1
}
