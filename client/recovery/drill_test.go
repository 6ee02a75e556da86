// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package recovery_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/agent"
	"github.com/hawserdb/hawser/client/recovery"
	"github.com/hawserdb/hawser/hawsertest"
)

var (
	drillDuration = flag.Duration("drill.duration", 8*time.Second, "how long the agents of TestDrill work, about")
	drillAgents   = flag.Int("drill.agents", 3, "agents of TestDrill")
	drillSeed     = flag.Uint64("drill.seed", 0, "decides the faults of TestDrill; 0 is a fresh one")
)

// What the process of a drilled agent finds in its environment, beside what its
// supervisor puts there.
const (
	envEndpoints = "DRILL_ENDPOINTS"
	envJudge     = "DRILL_JUDGE"
	envSteps     = "DRILL_STEPS"
	stepTime     = 200 * time.Millisecond
	drillTTL     = time.Second
)

func TestMain(m *testing.M) {
	if os.Getenv(envJudge) != "" {
		err := drilled()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(recovery.ExitCode(err))
	}
	os.Exit(m.Run())
}

// work is the state of a drilled agent: a chain of hashes over what the judge has
// answered.
type work struct {
	N    int
	Hash string
}

func (w *work) add(answer string) {
	sum := sha256.Sum256([]byte(w.Hash + answer))
	w.N, w.Hash = w.N+1, hex.EncodeToString(sum[:])
}

// undisturbed is what an agent comes to.
func undisturbed(name string, steps int) (w work) {
	for n := range steps {
		w.add(answerTo(name, n))
	}
	return w
}

func answerTo(name string, n int) string { return fmt.Sprintf("answer %d to %s", n, name) }

// drilled is the process of an agent.
func drilled() error {
	if os.Getenv(recovery.EnvBuild) == "bad" {
		return errors.New("this build crashes on start")
	}
	name := os.Getenv(recovery.EnvAgent)
	steps, err := strconv.Atoi(os.Getenv(envSteps))
	if err != nil {
		return err
	}
	c, err := client.Dial(client.Config{Endpoints: strings.Split(os.Getenv(envEndpoints), ","), Instance: os.Getenv(recovery.EnvInstance)})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() { <-signals; cancel() }()
	cfg := agent.Config[work]{Name: name, TTL: drillTTL, Grace: 500 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
	return agent.Run(ctx, c, cfg, func(ctx context.Context, t *agent.Turn[work]) error {
		n := t.State.N
		if n == steps {
			return agent.Done
		}
		for order := ""; ; {
			answer, err := t.Effect(ctx, fmt.Sprint("step-", n), hawser.OnUnknownRetry, func(ctx context.Context, key string) (result []byte, err error) {
				result, order, err = askJudge(ctx, name, n, key, t.Claim().Fence())
				return result, err
			})
			if err != nil {
				return err
			}
			switch {
			case order == "hog" && os.Getenv(recovery.EnvShed) == "0":
				hog()
			case order == "loop": // the same effect again and again, and no step
				if sleepUnless(ctx, 10*time.Millisecond) {
					return ctx.Err()
				}
				continue
			}
			t.State.add(string(answer))
			sleepUnless(ctx, stepTime)
			return nil
		}
	})
}

// hog takes memory until there is none.
func hog() {
	var all [][]byte
	for {
		b := make([]byte, 16<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		all = append(all, b)
		_ = all
	}
}

// sleepUnless reports whether ctx has ended.
func sleepUnless(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return false
	case <-ctx.Done():
		return true
	}
}

func askJudge(ctx context.Context, name string, n int, key string, fence hawser.Fence) (result []byte, order string, err error) {
	query := url.Values{"agent": {name}, "n": {strconv.Itoa(n)}, "key": {key}, "token": {strconv.FormatUint(fence.Token, 10)}}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv(envJudge)+"/step?"+query.Encode(), http.NoBody)
	if err != nil {
		return nil, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the judge says %s: %s", resp.Status, body)
	}
	return body, resp.Header.Get("Order"), err
}

// judge is the resource elsewhere that agents use, and records every step.
type judge struct {
	mu     sync.Mutex
	steps  map[string]map[int]string // by agent and number, the key
	keys   map[string]bool           // accepted
	tokens map[string]uint64
	orders map[string]string // what the next step of an agent is told
	done   map[string]time.Time
	broken []string
	// repeats are requests with a key that was accepted before, old those with a fence
	// that is over.
	repeats, old int
}

func (j *judge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, key := r.FormValue("agent"), r.FormValue("key")
	n, _ := strconv.Atoi(r.FormValue("n"))
	token, _ := strconv.ParseUint(r.FormValue("token"), 10, 64)
	j.mu.Lock()
	defer j.mu.Unlock()
	if token < j.tokens[name] {
		j.old++
		http.Error(w, "the fence is over", http.StatusConflict)
		return
	}
	j.tokens[name] = token
	if j.steps[name] == nil {
		j.steps[name] = map[int]string{}
	}
	before, again := j.steps[name][n]
	switch {
	case again && before != key:
		j.broken = append(j.broken, fmt.Sprintf("%s step %d was accepted with the keys %s and %s", name, n, before, key))
	case again:
		j.repeats++
	case j.keys[key]:
		j.broken = append(j.broken, fmt.Sprintf("the key %s was accepted for two steps", key))
	case n != len(j.steps[name]):
		j.broken = append(j.broken, fmt.Sprintf("%s does step %d after %d", name, n, len(j.steps[name])))
	}
	j.steps[name][n], j.keys[key], j.done[name] = key, true, time.Now()
	if order := j.orders[name]; order != "" {
		delete(j.orders, name)
		w.Header().Set("Order", order)
	}
	_, _ = io.WriteString(w, answerTo(name, n))
}

// count returns how many steps of an agent there were, and when the last one was.
func (j *judge) count(name string) (n int, last time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.steps[name]), j.done[name]
}

func (j *judge) order(name, order string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.orders[name] = order
}

// drill is agents under supervision, and what is done to them.
type drill struct {
	t       *testing.T
	cluster *hawsertest.Cluster
	judge   *judge
	steps   int

	mu        sync.Mutex
	children  map[string]*recovery.Child
	decisions map[string][]agent.Decision
	wounds    []wound
}

// wound is what was done to an agent, and what came of it.
type wound struct {
	fault, agent string
	at           time.Time
	detected     time.Duration // until it was decided about; 0: nobody had to decide
	recovered    time.Duration // until the next step
	decision     agent.Decision
}

func (d *drill) note(name string) func(agent.Decision) {
	return func(decision agent.Decision) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.decisions[name] = append(d.decisions[name], decision)
	}
}

// run runs an agent under supervision until it is done.
func (d *drill) run(ctx context.Context, name string, builds []recovery.Build) error {
	child, err := recovery.StartProcess(ctx, recovery.Process{Agent: name, Client: d.cluster.Client(), Builds: builds, Grace: 2 * time.Second})
	if err != nil {
		return err
	}
	defer func() { _ = child.Close() }() //nolint:contextcheck // it outlives ctx
	d.mu.Lock()
	d.children[name] = child
	d.mu.Unlock()
	return recovery.Supervise(ctx, recovery.Config{
		Agent: name, Client: d.cluster.Client(), Subject: child, Limits: recovery.Limits{IdleAfter: 3 * time.Second},
		Attempts: 20, StableFor: 500 * time.Millisecond, Pause: 200 * time.Millisecond, OnDecision: d.note(name), Logger: slog.New(slog.DiscardHandler),
	})
}

// errShed: an agent that does less by now does not take all memory any more.
var errShed = errors.New("it was told to do less")

// faults are what is done to one agent; each returns whether its supervisor is to
// notice.
func (d *drill) faults() map[string]func(name string) (decides bool, err error) {
	signal := func(s syscall.Signal) func(string) (bool, error) {
		return func(name string) (bool, error) {
			d.mu.Lock()
			child := d.children[name]
			d.mu.Unlock()
			return true, syscall.Kill(child.PID(), s)
		}
	}
	return map[string]func(string) (bool, error){
		"killed": signal(syscall.SIGKILL), "frozen": signal(syscall.SIGSTOP),
		"loop": func(name string) (bool, error) { d.judge.order(name, "loop"); return true, nil },
		"hog": func(name string) (bool, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if slices.ContainsFunc(d.decisions[name], func(made agent.Decision) bool { return made.Action == recovery.Shed.String() }) {
				return false, errShed
			}
			d.judge.order(name, "hog")
			return true, nil
		},
		"crash": signal(syscall.SIGABRT),
		"corrupt": func(name string) (bool, error) {
			_, err := d.cluster.Client().Agent(name).Save(d.t.Context(), []byte(`{"N":`), client.Overwrite(), client.Force())
			return false, err
		},
	}
}

// strike does something to an agent and waits for its next step.
func (d *drill) strike(ctx context.Context, fault, name string) error {
	before, _ := d.judge.count(name)
	d.mu.Lock()
	known := len(d.decisions[name])
	d.mu.Unlock()
	w := wound{fault: fault, agent: name, at: time.Now()}
	decides, err := d.faults()[fault](name) //nolint:contextcheck // that of the test
	switch spared := errors.Is(err, syscall.ESRCH) || errors.Is(err, errShed); {
	case spared:
		return nil // an agent that was done has ended meanwhile, too
	case err != nil:
		return fmt.Errorf("%s of %s: %w", fault, name, err)
	}
	// The step under way may still arrive.
	next := before + 2
	for limit := time.Now().Add(60 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		n, last := d.judge.count(name)
		d.mu.Lock()
		decided := len(d.decisions[name]) > known
		if decided && w.detected == 0 {
			w.decision = d.decisions[name][known]
			w.detected = w.decision.At.Sub(w.at)
			next = n + 1
		}
		d.mu.Unlock()
		switch {
		case ctx.Err() != nil, n >= d.steps:
			return nil //nolint:nilerr // the drill is over, or the agent was done before
		case n >= next && (decided || !decides):
			w.recovered = last.Sub(w.at)
			d.mu.Lock()
			d.wounds = append(d.wounds, w)
			d.mu.Unlock()
			return nil
		case time.Now().After(limit):
			return fmt.Errorf("%s does not go on after it was %s: %d steps, decisions %v", name, fault, n, d.decisions[name])
		}
	}
}

// Claim: agents that are killed, frozen, made to loop, out of memory, fed a corrupt
// state or given a build that crashes on start, while a node of the store is killed,
// all come to what undisturbed ones do; every step appears at the judge, with one
// key, in order, under fences that never go back.
func TestDrill(t *testing.T) {
	seed := *drillSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	j := &judge{
		steps: map[string]map[int]string{}, keys: map[string]bool{}, tokens: map[string]uint64{}, orders: map[string]string{}, done: map[string]time.Time{},
	}
	server := httptest.NewServer(j)
	defer server.Close()
	d := &drill{
		t: t, cluster: hawsertest.StartCluster(t, 3), judge: j, steps: int(*drillDuration / stepTime),
		children: map[string]*recovery.Child{}, decisions: map[string][]agent.Decision{},
	}
	var endpoints []string
	for i := range d.cluster.Size() {
		endpoints = append(endpoints, d.cluster.Endpoint(i))
	}
	env := []string{envEndpoints + "=" + strings.Join(endpoints, ","), envJudge + "=" + server.URL, envSteps + "=" + strconv.Itoa(d.steps)}
	// The address space that a process may have; it takes most of it at the start.
	good := recovery.Build{Name: "good", Command: []string{"sh", "-c", `ulimit -v 3000000; exec "$0"`, os.Args[0]}, Env: env}
	bad := recovery.Build{Name: "bad", Command: good.Command, Env: env}
	ctx, cancel := context.WithTimeout(t.Context(), 4**drillDuration+2*time.Minute)
	defer cancel()
	var names []string
	var running sync.WaitGroup
	ends := make([]error, *drillAgents)
	var over atomic.Int32
	for i := range ends {
		name := fmt.Sprintf("crew/%d", i)
		names = append(names, name)
		builds := []recovery.Build{good}
		if i%5 == 0 {
			builds = []recovery.Build{bad, good}
		}
		running.Go(func() {
			ends[i] = d.run(ctx, name, builds)
			over.Add(1)
		})
	}
	for _, name := range names {
		for n := 0; n == 0 && ctx.Err() == nil; n, _ = j.count(name) {
			sleepUnless(ctx, 10*time.Millisecond)
		}
	}
	var striking sync.WaitGroup
	kinds := []string{"killed", "frozen", "loop", "hog", "crash", "corrupt"}
	for i, name := range names {
		order := rng.Perm(len(kinds))
		pauses := []int64{}
		for range 100 {
			pauses = append(pauses, rng.Int64N(int64(3*time.Second)))
		}
		striking.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				if n, _ := j.count(name); n >= d.steps-10 || sleepUnless(ctx, time.Second+time.Duration(pauses[k%len(pauses)])) {
					return
				}
				if err := d.strike(ctx, kinds[order[(k+i)%len(kinds)]], name); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	node := rng.IntN(d.cluster.Size())
	sleepUnless(ctx, *drillDuration/4)
	d.cluster.Kill(node)
	sleepUnless(ctx, 3*time.Second)
	d.cluster.Restart(node)
	striking.Wait()
	running.Wait()
	d.verdict(names, ends)
}

func (d *drill) verdict(names []string, ends []error) {
	t := d.t
	t.Helper()
	for i, name := range names {
		if ends[i] != nil {
			t.Errorf("%s: %v", name, ends[i])
		}
		cp, err := d.cluster.Client().Agent(name).Restore(t.Context())
		if err != nil {
			t.Error(err)
			continue
		}
		var w work
		if err := json.Unmarshal(cp.State, &w); err != nil || w != undisturbed(name, d.steps) {
			t.Errorf("%s came to %+v (%v), want %+v", name, w, err, undisturbed(name, d.steps))
		}
		if n, _ := d.judge.count(name); n != d.steps {
			t.Errorf("%s did %d steps of %d", name, n, d.steps)
		}
	}
	for _, b := range d.judge.broken {
		t.Error(b)
	}
	t.Logf("%d agents, %d steps each; %d requests repeated under their key, %d refused by their fence", len(names), d.steps, d.judge.repeats, d.judge.old)
	byFault := map[string][]wound{}
	for _, w := range d.wounds {
		byFault[w.fault] = append(byFault[w.fault], w)
	}
	for _, fault := range slices.Sorted(func(yield func(string) bool) {
		for f := range byFault {
			if !yield(f) {
				return
			}
		}
	}) {
		var detected, recovered []time.Duration
		for _, w := range byFault[fault] {
			detected, recovered = append(detected, w.detected), append(recovered, w.recovered)
			if w.decision.Action != "" {
				t.Logf("  %s %s: %s -> %s; evidence: %s", w.agent, fault, w.decision.Failure, w.decision.Action, strings.Join(w.decision.Evidence, "; "))
			}
		}
		slices.Sort(detected)
		slices.Sort(recovered)
		t.Logf("%-8s %3d times: detected after %v (median), %v at most; next step after %v, %v", fault, len(detected),
			detected[len(detected)/2].Round(time.Millisecond), detected[len(detected)-1].Round(time.Millisecond),
			recovered[len(recovered)/2].Round(time.Millisecond), recovered[len(recovered)-1].Round(time.Millisecond))
	}
}
