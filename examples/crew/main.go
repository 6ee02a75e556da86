// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Crew is a research crew: a planner asks three workers questions, they ask a model,
// and a writer makes a report of the answers. Each agent is a process; kill any of
// them with -9 and start it again, or start it twice.
//
//	go run ./cmd/hawser dev --nodes 3      # in another terminal
//	go run ./examples/crew                 # all five, one process each, and the report
//	go run ./examples/crew worker-1        # one of them alone, in this process
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/agent"
	"github.com/hawserdb/hawser/client/recovery"
)

const (
	workers   = 3
	questions = 12
	planner   = "crew/planner"
	writer    = "crew/writer"
)

func worker(i int) string { return fmt.Sprintf("crew/worker-%d", i) }

// finding is a question, and its answer once there is one.
type finding struct {
	Number   int    `json:"number"`
	Question string `json:"question"`
	Answer   string `json:"answer,omitempty"`
}

func (f finding) encode() []byte {
	data, err := json.Marshal(f)
	if err != nil {
		panic(err) // a number and two texts can be encoded
	}
	return data
}

// plan is the state of the planner: how many questions it has asked.
type plan struct{ Asked int }

// ask asks the next question of the next worker.
func ask(_ context.Context, t *agent.Turn[plan]) error {
	if t.State.Asked == questions {
		return agent.Done
	}
	n := t.State.Asked
	t.Send(worker(n%workers+1), finding{Number: n, Question: fmt.Sprintf("What is known about part %d?", n)}.encode())
	t.State.Asked++
	return nil
}

// desk is the state of a worker: how many questions it has answered.
type desk struct{ Answered int }

// study answers a question. The model is asked by an effect: a worker that dies
// between its answer and the next save gets the same answer when the step is done
// again, and the model is not asked twice.
func study(model func(ctx context.Context, key, question string) (string, error)) agent.Step[desk] {
	return func(ctx context.Context, t *agent.Turn[desk]) error {
		m, err := t.Message(ctx)
		if err != nil {
			return err
		}
		var f finding
		if err := json.Unmarshal(m.Payload, &f); err != nil {
			return err
		}
		answer, err := t.Effect(ctx, fmt.Sprint("question-", f.Number), hawser.OnUnknownRetry, func(ctx context.Context, key string) ([]byte, error) {
			answer, err := model(ctx, key, f.Question)
			return []byte(answer), err
		})
		if err != nil {
			return err
		}
		f.Answer = string(answer)
		t.Send(writer, f.encode())
		t.State.Answered++
		return nil
	}
}

// report is the state of the writer.
type report struct{ Findings []finding }

func (r report) text() string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s %s\n", f.Question, f.Answer)
	}
	return b.String()
}

// write adds an answer to the report, until it has all.
func write(ctx context.Context, t *agent.Turn[report]) error {
	if len(t.State.Findings) == questions {
		return agent.Done
	}
	m, err := t.Message(ctx)
	if err != nil {
		return err
	}
	var f finding
	if err := json.Unmarshal(m.Payload, &f); err != nil {
		return err
	}
	t.State.Findings = append(t.State.Findings, f)
	slices.SortFunc(t.State.Findings, func(a, b finding) int { return cmp.Compare(a.Number, b.Number) })
	return nil
}

// standIn is the model: it always says the same.
func standIn(_ context.Context, _, question string) (string, error) {
	return fmt.Sprintf("(%d letters were asked.)", len(question)), nil
}

// run runs one agent in this process, until it is done or ctx ends.
func run(ctx context.Context, c *client.Client, name string) error {
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	switch name {
	case planner:
		return agent.Run(ctx, c, agent.Config[plan]{Name: name, Logger: quiet}, ask)
	case writer:
		return agent.Run(ctx, c, agent.Config[report]{Name: name, Logger: quiet}, write)
	}
	return agent.Run(ctx, c, agent.Config[desk]{Name: name, Logger: quiet}, study(model()))
}

func crew() []string {
	all := []string{planner, writer}
	for i := range workers {
		all = append(all, worker(i+1))
	}
	return all
}

// gather makes the agents that are not there: messages need somebody to be sent to.
func gather(ctx context.Context, c *client.Client) error {
	for _, name := range crew() {
		_, err := c.Agent(name).Save(ctx, []byte("{}"), client.ExpectVersion(0))
		if err != nil && !errors.Is(err, hawser.ErrConflict) && !errors.Is(err, hawser.ErrFenced) {
			return err
		}
	}
	return nil
}

// superviseAll runs each agent as a process, and brings back those that fail, until
// the writer is done; then it prints the report.
func superviseAll(ctx context.Context, c *client.Client, program string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if err := gather(ctx, c); err != nil {
		return err
	}
	errs := make([]error, len(crew()))
	var all sync.WaitGroup
	for i, name := range crew() {
		all.Go(func() {
			if errs[i] = supervise(ctx, c, program, name); errs[i] != nil || name == writer {
				stop() // the others are not needed any more, or wait for this one in vain
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	cp, err := c.Agent(writer).Restore(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	var r report
	if err := json.Unmarshal(cp.State, &r); err != nil {
		return err
	}
	fmt.Print(r.text())
	return nil
}

func supervise(ctx context.Context, c *client.Client, program, name string) error {
	build := recovery.Build{Name: "this", Command: []string{program, strings.TrimPrefix(name, "crew/")}}
	child, err := recovery.StartProcess(ctx, recovery.Process{Agent: name, Client: c, Builds: []recovery.Build{build}, Output: os.Stderr})
	if err != nil {
		return err
	}
	defer func() { _ = child.Close() }() //nolint:contextcheck // it ends the process also after ctx has ended
	fmt.Fprintf(os.Stderr, "%s is process %d\n", name, child.PID())
	return recovery.Supervise(ctx, recovery.Config{Agent: name, Client: c, Subject: child, StableFor: 1})
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "crew:", err)
	}
	os.Exit(recovery.ExitCode(err))
}

func start(ctx context.Context, args []string) error {
	endpoints := strings.Split(cmp.Or(os.Getenv("HAWSER_ENDPOINTS"), client.DefaultEndpoint), ",")
	c, err := client.Dial(client.Config{Endpoints: endpoints, Instance: os.Getenv(recovery.EnvInstance)})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if len(args) == 1 {
		return run(ctx, c, "crew/"+args[0])
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return superviseAll(ctx, c, self)
}
