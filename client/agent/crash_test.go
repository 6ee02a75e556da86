// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package agent_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/agent"
	"github.com/hawserdb/hawser/hawsertest"
)

var crashTrials = flag.Int("crash.trials", 2, "trials of TestRun_CrashToNextStep")

const (
	envCrashEndpoints = "HAWSER_TEST_CRASH_ENDPOINTS"
	envCrashInstance  = "HAWSER_TEST_CRASH_INSTANCE"
	crashTTL          = time.Second
)

// TestMain runs an agent, or a member of a pool, instead, in a process that a test has
// started for that.
func TestMain(m *testing.M) {
	flag.Parse()
	for name, instead := range map[string]func(endpoints []string) error{envCrashEndpoints: crashAgent, fleetEndpoints: runMember} {
		endpoints := os.Getenv(name)
		if endpoints == "" {
			continue
		}
		if err := instead(strings.Split(endpoints, ",")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// crashAgent runs an agent that says which step it does.
func crashAgent(endpoints []string) error {
	c, err := client.Dial(client.Config{Endpoints: endpoints, Instance: os.Getenv(envCrashInstance)})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	cfg := agent.Config[tally]{
		Name: "a", TTL: crashTTL, Logger: slog.New(slog.DiscardHandler), OnEvent: func(e agent.Event) {
			if e.Kind == agent.Waiting {
				fmt.Println("waiting")
			}
		},
	}
	return agent.Run(context.Background(), c, cfg, func(ctx context.Context, t *agent.Turn[tally]) error {
		t.State.N++
		fmt.Println("step", t.State.N)
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
		return nil
	})
}

// crashProcess is such a process.
type crashProcess struct {
	cmd  *exec.Cmd
	said chan string
}

func startCrashProcess(t *testing.T, endpoints, instance string) *crashProcess {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), envCrashEndpoints+"="+endpoints, envCrashInstance+"="+instance)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &crashProcess{cmd, make(chan string, 100_000)}
	go func() {
		defer close(p.said)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.said <- lines.Text()
		}
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends the process and waits for it; more than once is no harm.
func (p *crashProcess) kill() {
	_ = p.cmd.Process.Kill() // maybe it is gone
	_ = p.cmd.Wait()
}

// hear waits until the process says something that begins so.
func (p *crashProcess) hear(t *testing.T, prefix string) string {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case line, ok := <-p.said:
			if !ok {
				t.Fatal("the process has ended")
			}
			if strings.HasPrefix(line, prefix) {
				return line
			}
		case <-limit:
			t.Fatalf("no %q within 20 s", prefix)
		}
	}
}

func (p *crashProcess) forget() {
	for len(p.said) > 0 {
		<-p.said
	}
}

// Claim: when the process that runs an agent is killed, another one does its next step
// no later than the time to live and 0.3 s after that (median of -crash.trials), and
// with the state that was saved: no step is missing.
func TestRun_CrashToNextStep(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 3)
	var endpoints []string
	for i := range cluster.Size() {
		endpoints = append(endpoints, cluster.Endpoint(i))
	}
	active := startCrashProcess(t, strings.Join(endpoints, ","), "p0")
	active.hear(t, "step")
	var gaps []time.Duration
	for trial := range *crashTrials {
		passive := startCrashProcess(t, strings.Join(endpoints, ","), fmt.Sprint("p", trial+1))
		passive.hear(t, "waiting")
		time.Sleep(300*time.Millisecond + time.Duration(trial%7)*53*time.Millisecond) // anywhere between two renewals
		active.forget()
		last := active.hear(t, "step")
		began := time.Now()
		active.kill()
		next := passive.hear(t, "step")
		gaps = append(gaps, time.Since(began))
		for range len(active.said) {
			if line, ok := <-active.said; ok && strings.HasPrefix(line, "step") {
				last = line
			}
		}
		var n, m int
		if _, err := fmt.Sscanf(last+" "+next, "step %d step %d", &n, &m); err != nil || m > n+1 || m < n-1 {
			t.Errorf("after %q the next one was %q: %v", last, next, err)
		}
		active = passive
	}
	slices.Sort(gaps)
	median, longest := gaps[len(gaps)/2], gaps[len(gaps)-1]
	t.Logf("%d trials, TTL %v: killed -> next step %v median, %v at most", len(gaps), crashTTL, median.Round(time.Millisecond), longest.Round(time.Millisecond))
	if len(gaps) >= 10 && median > crashTTL+300*time.Millisecond {
		t.Errorf("median %v", median)
	}
	if longest > crashTTL+3*time.Second {
		t.Errorf("at most %v", longest)
	}
}
