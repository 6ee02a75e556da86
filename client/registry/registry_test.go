// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/call"
	"github.com/hawserdb/hawser/client/health"
	"github.com/hawserdb/hawser/client/registry"
	"github.com/hawserdb/hawser/hawsertest"
)

const (
	envEndpoints = "HAWSER_TEST_REGISTRY_ENDPOINTS"
	envInstance  = "HAWSER_TEST_REGISTRY_INSTANCE"
	ttl          = time.Second
)

// TestMain runs an instance of the service instead, in a process that was started for
// that.
func TestMain(m *testing.M) {
	if endpoints := os.Getenv(envEndpoints); endpoints != "" {
		if err := serve(strings.Split(endpoints, ",")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serve answers each connection with its name, until SIGTERM. A line on its standard
// input makes it ill.
func serve(endpoints []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c, err := client.Dial(client.Config{Endpoints: endpoints, Instance: os.Getenv(envInstance)})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	var ill atomic.Bool
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		ill.Store(true)
	}()
	m, err := health.Start(health.Config{Checks: []health.Check{{
		Name: "mood", Interval: 50 * time.Millisecond, Limits: health.Limits{Failures: 1}, Run: func(context.Context) error {
			if ill.Load() {
				return errors.New("bad")
			}
			return nil
		},
	}}})
	if err != nil {
		return err
	}
	defer func() { _ = m.Close() }()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, c.Instance())
			_ = conn.Close()
		}
	}()
	return registry.Register(ctx, c, registry.Registration{
		Service: "svc/echo", Address: l.Addr().String(), Labels: map[string]string{"zone": "a"}, Load: func() float64 { return 1 }, Health: m, TTL: ttl,
	})
}

type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

func start(t *testing.T, endpoints, instance string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), envEndpoints+"="+endpoints, envInstance+"="+instance)
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd, in}
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	return p
}

func (p *process) end(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s) // maybe it is gone
	_ = p.cmd.Wait()
}

// ask calls an instance as a client of it would.
func ask(ctx context.Context, i registry.Instance) (string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", i.Address)
	if err != nil {
		return "", call.Transient(err)
	}
	defer func() { _ = conn.Close() }()
	name, err := io.ReadAll(conn)
	if err == nil && len(name) == 0 {
		err = io.ErrUnexpectedEOF
	}
	return string(name), err
}

func eventually(t *testing.T, what string, within time.Duration, check func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !check() {
		if time.Since(began) > within {
			t.Fatalf("%s: not within %v", what, within)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(began)
}

func names(d *registry.Directory) (list []string) {
	instances, _ := d.Instances()
	for _, i := range instances {
		list = append(list, i.Name)
	}
	return list
}

// asker calls all the time and counts what comes.
type asker struct {
	stop func()

	mu      sync.Mutex
	answers map[string]int
	failed  []error
	tries   atomic.Int64
}

func startAsker(t *testing.T, d *registry.Directory) *asker {
	t.Helper()
	p, err := call.New(call.Config{Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	a := &asker{answers: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for ctx.Err() == nil {
			name, err := registry.Do(ctx, d, p, registry.Anyone, true, func(ctx context.Context, i registry.Instance) (string, error) {
				a.tries.Add(1)
				return ask(ctx, i)
			})
			a.mu.Lock()
			if err == nil {
				a.answers[name]++
			} else if ctx.Err() == nil {
				a.failed = append(a.failed, err)
			}
			a.mu.Unlock()
			time.Sleep(2 * time.Millisecond)
		}
	})
	a.stop = sync.OnceFunc(func() { cancel(); tasks.Wait() })
	t.Cleanup(a.stop)
	return a
}

// take returns what came since the last time.
func (a *asker) take() (answers map[string]int, failed []error, tries int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	answers, failed, tries = a.answers, a.failed, a.tries.Swap(0)
	a.answers, a.failed = map[string]int{}, nil
	return answers, failed, tries
}

// Claim: instances of a service are found, and calls spread over them. One that is
// killed costs no call, is tried again seldom, and is not listed any more a time to live
// later; one that ends as it should is gone at once; one that fails its checks gets no
// more calls within some seconds, though it lives. Method: processes and sockets, and
// three nodes.
func TestRegistry_Processes(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 3)
	var list []string
	for i := range cluster.Size() {
		list = append(list, cluster.Endpoint(i))
	}
	endpoints := strings.Join(list, ",")
	d, err := registry.Open(t.Context(), cluster.Client(), "svc/echo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	if _, err := d.Pick(registry.Anyone); !errors.Is(err, hawser.ErrUnavailable) {
		t.Errorf("nobody is registered: %v", err)
	}
	processes := map[string]*process{}
	for _, name := range []string{"one", "two/2", "three", "four"} {
		processes[name] = start(t, endpoints, name)
	}
	eventually(t, "all are known", 20*time.Second, func() bool { return slices.Equal(names(d), []string{"four", "one", "three", "two/2"}) })
	instances, age := d.Instances()
	for _, i := range instances {
		if i.Labels["zone"] != "a" || i.Address == "" || i.Since.IsZero() || age > 3*time.Second {
			t.Errorf("%+v, %v old", i, age)
		}
	}
	eventually(t, "loads are known", 5*time.Second, func() bool {
		instances, _ := d.Instances()
		return !slices.ContainsFunc(instances, func(i registry.Instance) bool { return i.Load != 1 })
	})
	a := startAsker(t, d)
	time.Sleep(time.Second)
	answers, failed, tries := a.take()
	for _, n := range answers {
		if n < int(tries)/8 || n > int(tries)/2 {
			t.Errorf("it is not spread: %v", answers)
		}
	}
	if len(answers) != 4 || len(failed) > 0 {
		t.Errorf("answers %v, failed %v", answers, failed)
	}

	began := time.Now()
	processes["three"].end(syscall.SIGKILL)
	gone := eventually(t, "the killed one is gone", ttl+2*time.Second, func() bool { return !slices.Contains(names(d), "three") })
	answers, failed, tries = a.take()
	calls := 0
	for _, n := range answers {
		calls += n
	}
	if len(failed) > 0 || tries-int64(calls) > 5 {
		t.Errorf("%d calls in the %v after a kill: failed %v, %d in vain", calls, time.Since(began), failed, tries-int64(calls))
	}
	t.Logf("killed: not listed %v later; %d of %d tries meanwhile were in vain, no call failed", gone.Round(time.Millisecond), tries-int64(calls), tries)
	if gone > ttl+time.Second {
		t.Errorf("listed for %v", gone)
	}

	stopped := make(chan struct{})
	go func() { defer close(stopped); processes["four"].end(syscall.SIGTERM) }()
	gone = eventually(t, "the stopped one is gone", 5*time.Second, func() bool { return !slices.Contains(names(d), "four") })
	<-stopped
	if _, err := cluster.Client().Agent("svc/echo/four").Restore(t.Context()); !errors.Is(err, hawser.ErrNotFound) {
		t.Errorf("its record is left: %v", err)
	}
	if _, failed, _ := a.take(); len(failed) > 0 {
		t.Errorf("stopped: failed %v", failed)
	}
	t.Logf("stopped: not listed %v later", gone.Round(time.Millisecond))

	if _, err := io.WriteString(processes["one"].in, "be ill\n"); err != nil {
		t.Fatal(err)
	}
	ill := eventually(t, "the ill one is left alone", 10*time.Second, func() bool {
		instances, _ := d.Instances()
		return slices.ContainsFunc(instances, func(i registry.Instance) bool { return i.Name == "one" && i.State == hawser.HealthUnhealthy })
	})
	a.take()
	time.Sleep(300 * time.Millisecond)
	a.stop()
	if answers, failed, _ := a.take(); answers["one"] > 1 || answers["two/2"] == 0 || len(failed) > 0 { // one may have been under way
		t.Errorf("answers %v, failed %v", answers, failed)
	}
	t.Logf("ill: left alone %v later", ill.Round(time.Millisecond))
}

// Claim: what cannot be registered is refused, and an instance that comes again under
// its name while the first one lives waits for it.
func TestRegister_Refuses(t *testing.T) {
	t.Parallel()
	c := hawsertest.Start(t)
	big := map[string]string{"k": strings.Repeat("x", 20<<10)}
	for name, r := range map[string]registry.Registration{
		"no service": {Address: "a"}, "no address": {Service: "s"}, "a bad name": {Service: "s\x00", Address: "a"}, "too much": {Service: "s", Address: "a", Labels: big},
	} {
		if err := registry.Register(t.Context(), c, r); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := registry.Open(t.Context(), c, "bad\x00"); !errors.Is(err, hawser.ErrInvalid) {
		t.Errorf("open: %v", err)
	}
	d, err := registry.Open(t.Context(), c, "s")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	first, stopFirst := context.WithCancel(t.Context())
	second, stopSecond := context.WithCancel(t.Context())
	defer stopFirst()
	defer stopSecond()
	done := make(chan error, 2)
	go func() { done <- registry.Register(first, c, registry.Registration{Service: "s", Address: "first"}) }()
	address := func() string {
		i, err := d.Pick(registry.Anyone)
		if err != nil {
			return ""
		}
		return i.Address
	}
	eventually(t, "the first is there", 5*time.Second, func() bool { return address() == "first" })
	go func() { done <- registry.Register(second, c, registry.Registration{Service: "s", Address: "second"}) }()
	time.Sleep(300 * time.Millisecond)
	if a := address(); a != "first" {
		t.Errorf("the second has displaced it: %q", a)
	}
	stopFirst()
	eventually(t, "the second follows", 5*time.Second, func() bool { return address() == "second" })
	stopSecond()
	eventually(t, "both are gone", 5*time.Second, func() bool { return address() == "" })
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
