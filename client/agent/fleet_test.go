// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package agent_test

import (
	"bufio"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/agent"
	"github.com/hawserdb/hawser/hawsertest"
)

var (
	fleetAgents  = flag.Int("fleet.agents", 60, "agents of TestRunPool_Processes")
	fleetMembers = flag.Int("fleet.members", 3, "processes of TestRunPool_Processes")
	fleetNodes   = flag.Int("fleet.nodes", 1, "nodes of TestRunPool_Processes")
	fleetTTL     = flag.Duration("fleet.ttl", time.Second, "time to live of TestRunPool_Processes")
)

// fleetEndpoints makes this program a member of a pool instead of a test.
const fleetEndpoints = "HAWSER_TEST_FLEET"

// runMember runs agents that do a step a second until its standard input ends. It
// writes "+ NAME TIME" when it has restored one, and "- NAME TIME" when it has
// stopped it, before it gives it back.
func runMember(endpoints []string) error {
	c, err := client.Dial(client.Config{Endpoints: endpoints})
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	var mu sync.Mutex
	say := func(sign string, e agent.Event) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("%s %s %d\n", sign, e.Agent, time.Now().UnixNano())
	}
	quiet := slog.New(slog.DiscardHandler)
	return agent.RunPool(ctx, c, agent.Pool[tally]{Prefix: "crew", TTL: *fleetTTL, Logger: quiet, New: func(string) (agent.Config[tally], agent.Step[tally]) {
		cfg := agent.Config[tally]{Logger: quiet, Every: 60, OnEvent: func(e agent.Event) {
			if e.Kind == agent.Restored {
				say("+", e)
			}
			if e.Kind == agent.Lost || e.Kind == agent.Ended {
				say("-", e)
			}
		}}
		return cfg, func(ctx context.Context, turn *agent.Turn[tally]) error {
			turn.State.N++
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			return nil
		}
	}})
}

// tenancy is the begin or the end of the time in which a process runs an agent.
type tenancy struct {
	name, by string
	begins   bool
	at       time.Time
}

// fleet is what the processes of a pool have told.
type fleet struct {
	mu     sync.Mutex
	told   []tenancy
	runs   map[string]map[string]bool // which agents which process runs
	killed map[string]time.Time
}

func (f *fleet) take(by, line string) {
	var sign, name string
	var nano int64
	if _, err := fmt.Sscan(line, &sign, &name, &nano); err != nil {
		return // the last line of one that was killed
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, tenancy{name, by, sign == "+", time.Unix(0, nano)})
	if f.runs[by] == nil {
		f.runs[by] = map[string]bool{}
	}
	if delete(f.runs[by], name); sign == "+" {
		f.runs[by][name] = true
	}
}

// counts returns how many agents run, and the fewest and the most of one process of
// those that were not killed.
func (f *fleet) counts(members int) (run, least, most int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	alive := 0
	for by, names := range f.runs {
		if _, dead := f.killed[by]; dead {
			continue
		}
		if alive++; alive == 1 {
			least = len(names)
		}
		run, least, most = run+len(names), min(least, len(names)), max(most, len(names))
	}
	if alive < members {
		least = 0
	}
	return run, least, most
}

// twice returns the agents that two processes ran at a time.
func (f *fleet) twice() (names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	told := slices.Clone(f.told)
	slices.SortStableFunc(told, func(a, b tenancy) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	by := map[string]string{}
	for _, x := range told {
		other := by[x.name]
		if dead, was := f.killed[other]; was && dead.Before(x.at) {
			other = ""
		}
		switch {
		case x.begins && other != "" && other != x.by:
			names = append(names, x.name)
		case x.begins:
			by[x.name] = x.by
		case other == x.by:
			delete(by, x.name)
		}
	}
	return names
}

// Claim: processes of a pool run all agents, equal parts each; when one is killed
// with SIGKILL its agents run elsewhere soon after their time to live; no agent is
// run by two.
func TestRunPool_Processes(t *testing.T) {
	cluster := hawsertest.StartCluster(t, *fleetNodes)
	agents, members := *fleetAgents, *fleetMembers
	saveCrew(t, cluster.Client(), agents)
	f := &fleet{runs: map[string]map[string]bool{}, killed: map[string]time.Time{}}
	began, busy := time.Now(), processorTime()
	processes := f.launch(t, cluster, members)
	even := func(members int) func() bool {
		return func() bool {
			run, least, most := f.counts(members)
			return run == agents && 5*least*members >= 4*agents && 5*most*members <= 6*agents
		}
	}
	within(t, 3*time.Minute, "all run, equal parts each", even(members))
	t.Logf("%d agents run in %d processes after %v, %v of processor time of the nodes", agents, members, time.Since(began).Round(time.Millisecond), processorTime()-busy)
	time.Sleep(3 * *fleetTTL) // what is said next is of a pool at rest
	rest, busy := time.Now(), processorTime()
	time.Sleep(3 * time.Second)
	t.Logf("at rest the nodes use %.2f of a processor, and have %d MiB; the processes %v MiB", (processorTime()-busy).Seconds()/time.Since(rest).Seconds(), resident(os.Getpid()), residents(processes))

	at := time.Now()
	f.mu.Lock()
	f.killed["host-0"] = at
	f.mu.Unlock()
	if err := processes[0].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, "all run elsewhere", func() bool { run, _, _ := f.counts(members - 1); return run == agents })
	took := f.since(at)
	t.Logf("%d agents of a killed process run elsewhere: median %v, p99 %v, last %v, with a time to live of %v", len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1], *fleetTTL)
	within(t, 10*time.Second, "equal parts again", even(members-1))
	run, least, most := f.counts(members - 1)
	t.Logf("%d agents run, %d to %d in each process, %v after the kill", run, least, most, time.Since(at).Round(time.Millisecond))
	if twice := f.twice(); len(twice) > 0 {
		t.Errorf("run by two: %v", twice)
	}
}

// since returns how long after a kill each agent of the killed process was restored
// elsewhere.
func (f *fleet) since(at time.Time) (took []time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := map[string]time.Duration{}
	for _, x := range f.told {
		if d := x.at.Sub(at); x.begins && f.runs["host-0"][x.name] && d > 0 && (first[x.name] == 0 || d < first[x.name]) {
			first[x.name] = d
		}
	}
	for _, d := range first {
		took = append(took, d)
	}
	slices.Sort(took)
	return took
}

func saveCrew(t *testing.T, c *client.Client, agents int) {
	t.Helper()
	next := make(chan int)
	var savers sync.WaitGroup
	for range 32 {
		savers.Go(func() {
			for i := range next {
				if _, err := c.Agent(fmt.Sprint("crew/", i)).Save(t.Context(), []byte("{}")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range agents {
		next <- i
	}
	close(next)
	savers.Wait()
}

// launch starts processes that end with the test.
func (f *fleet) launch(t *testing.T, cluster *hawsertest.Cluster, members int) (processes []*exec.Cmd) {
	t.Helper()
	var endpoints []string
	for i := range cluster.Size() {
		endpoints = append(endpoints, cluster.Endpoint(i))
	}
	for i := range members {
		cmd := exec.Command(os.Args[0], "-fleet.ttl="+fleetTTL.String())
		cmd.Env = append(os.Environ(), fleetEndpoints+"="+strings.Join(endpoints, ","))
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		read := make(chan struct{})
		go func() {
			defer close(read)
			for lines := bufio.NewScanner(out); lines.Scan(); {
				f.take(fmt.Sprint("host-", i), lines.Text())
			}
		}()
		t.Cleanup(func() {
			_ = in.Close()
			<-read
			_ = cmd.Wait() // one was killed
		})
		processes = append(processes, cmd)
	}
	return processes
}

func within(t *testing.T, limit time.Duration, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Round(time.Millisecond)
}

// resident is the memory of a process in MiB, 0 where nobody tells.
func resident(pid int) (mib int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			_, _ = fmt.Sscan(value, &mib)
		}
	}
	return mib / 1024
}

func residents(processes []*exec.Cmd) (mib []int) {
	for _, p := range processes {
		mib = append(mib, resident(p.Process.Pid))
	}
	return mib
}
