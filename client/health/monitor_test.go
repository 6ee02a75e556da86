// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client/health"
)

var errBroken = errors.New("broken")

func start(t *testing.T, cfg health.Config) *health.Monitor {
	t.Helper()
	m, err := health.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// closed closes a monitor, which no check holds up.
func closed(t *testing.T, m *health.Monitor) {
	t.Helper()
	begin := time.Now()
	if err := m.Close(); err != nil || time.Since(begin) > 0 {
		t.Errorf("closed after %v: %v", time.Since(begin), err)
	}
	if err := m.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

// Claim: each check is run at once and then by its interval, by itself; it fails with
// its third failure in a row, and is well with the next good result.
func TestMonitor_RunsChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fast, slow atomic.Int64
		var broken atomic.Bool
		m := start(t, health.Config{Checks: []health.Check{
			{Name: "fast", Interval: time.Second, Run: func(context.Context) error {
				if fast.Add(1); broken.Load() {
					return errBroken
				}
				return nil
			}},
			{Name: "slow", Run: func(ctx context.Context) error {
				slow.Add(1)
				time.Sleep(3 * time.Second)
				return ctx.Err()
			}},
		}})
		time.Sleep(30*time.Second + time.Millisecond)
		if fast.Load() != 31 || slow.Load() != 4 {
			t.Errorf("run %d and %d times", fast.Load(), slow.Load())
		}
		r := m.Report()
		if !r.Healthy || !r.Ready || r.Checks[0].Trend.State != health.Healthy || r.Checks[0].Trend.Sample != 30 || r.Trend != health.Unknown || r.Checks[1].Last.Took != 3*time.Second {
			t.Errorf("%+v", r)
		}
		broken.Store(true)
		time.Sleep(2 * time.Second)
		if r := m.Report(); !r.Healthy || r.Checks[0].Failures != 2 {
			t.Errorf("after two failures: %+v", r)
		}
		time.Sleep(time.Second)
		r = m.Report()
		want := []string{"fast: 3 failures in a row: broken"}
		if r.Healthy || r.Ready || !reflect.DeepEqual(r.Unhealthy(), want) || r.Checks[0].Trend.State != health.Degrading || r.Trend != health.Degrading {
			t.Errorf("after three failures: %+v", r)
		}
		broken.Store(false)
		time.Sleep(time.Second)
		if r := m.Report(); !r.Healthy || !r.Ready || len(r.Unhealthy()) != 0 {
			t.Errorf("after that: %+v", r)
		}
		time.Sleep(5*time.Second + 900*time.Millisecond) // while nothing runs
		closed(t, m)
		before := fast.Load() + slow.Load()
		if time.Sleep(time.Minute); fast.Load()+slow.Load() != before {
			t.Error("a check ran after Close")
		}
	})
}

// Claim: a check that hangs fails when its time is over and again at each turn, is not
// begun a second time beside itself, holds up no other, and is begun again once it has
// returned; what it says then, too late, is not counted.
func TestMonitor_Hangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		release := make(chan struct{})
		var begun, other atomic.Int64
		m := start(t, health.Config{Checks: []health.Check{
			{Name: "hangs", Interval: 10 * time.Second, Timeout: 4 * time.Second, Run: func(context.Context) error {
				if begun.Add(1) == 1 {
					<-release // whatever its context says
				}
				return nil
			}},
			{Name: "other", Interval: time.Second, Run: func(context.Context) error { other.Add(1); return nil }},
		}})
		for _, c := range []struct {
			at       time.Duration
			failures int
		}{{3 * time.Second, 0}, {5 * time.Second, 1}, {15 * time.Second, 2}, {25 * time.Second, 3}, {35 * time.Second, 4}} {
			time.Sleep(c.at - time.Since(begin))
			if v := m.Report().Checks[0]; v.Failures != c.failures || v.Failing != (c.failures >= 3) || v.Last != nil && v.Last.Problem != "has not returned within 4s" {
				t.Errorf("after %v: %+v, want %d failures", c.at, v, c.failures)
			}
		}
		if begun.Load() != 1 || other.Load() < 35 {
			t.Errorf("begun %d times; the other %d times", begun.Load(), other.Load())
		}
		close(release)
		time.Sleep(time.Second)
		if v := m.Report().Checks[0]; v.Failures != 4 || v.Passed {
			t.Errorf("what it said too late counts: %+v", v)
		}
		time.Sleep(10 * time.Second)
		if v := m.Report().Checks[0]; v.Failing || !v.Passed || begun.Load() != 2 {
			t.Errorf("begun %d times: %+v", begun.Load(), v)
		}
		closed(t, m)
	})
}

// Claim: Close ends what runs and waits for it; what does not heed its context is
// waited for 5 s, and named. A run that Close ends is no result.
func TestMonitor_Close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Bool
		heeds := health.Check{Name: "heeds", Timeout: time.Hour, Run: func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			ended.Store(true)
			return ctx.Err()
		}}
		m := start(t, health.Config{Checks: []health.Check{heeds}})
		synctest.Wait()
		begin := time.Now()
		if err := m.Close(); err != nil || !ended.Load() || time.Since(begin) != time.Second {
			t.Errorf("%v after %v, ended %t", err, time.Since(begin), ended.Load())
		}
		quick := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		for i := range 40 { // a turn is due as well when it is closed
			run := []func(context.Context) error{heeds.Run, quick}[i%2]
			m := start(t, health.Config{Checks: []health.Check{{Name: "a", Interval: time.Second, Timeout: time.Hour, Run: run}}})
			time.Sleep(10 * time.Second)
			if err := m.Close(); err != nil || m.Report().Checks[0].Last != nil {
				t.Fatalf("%v, %+v", err, m.Report())
			}
		}
		release := make(chan struct{})
		defer close(release)
		hangs := health.Check{Name: "hangs", Run: func(context.Context) error { <-release; return nil }}
		m = start(t, health.Config{Checks: []health.Check{heeds, hangs}})
		synctest.Wait()
		begin = time.Now()
		for range 2 {
			if err := m.Close(); !errors.Is(err, hawser.ErrDeadline) || !strings.Contains(err.Error(), `"hangs"`) || time.Since(begin) != 5*time.Second {
				t.Errorf("%v after %v", err, time.Since(begin))
			}
		}
	})
}

// Claim: a check that ends with its context, one that panics, one whose error says
// nothing, and one whose error says too much, have failed, and say so.
func TestMonitor_Problems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := start(t, health.Config{Checks: []health.Check{
			{Name: "obeys", Timeout: time.Second, Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
			{Name: "panics", Run: func(context.Context) error { panic("no such tool") }},
			{Name: "silent", Run: func(context.Context) error { return errors.New("") }},
			{Name: "talks", Run: func(context.Context) error { return errors.New(strings.Repeat("é", 1<<20)) }},
			{Name: "slow", Run: func(context.Context) error { time.Sleep(6 * time.Second); return nil }},
		}})
		time.Sleep(7 * time.Second)
		want := map[string]string{
			"obeys": "has not returned within 1s", "panics": "panic: no such tool", "silent": "failed", "talks": strings.Repeat("é", 256), "slow": "took 6s, more than 5s",
		}
		for _, c := range m.Report().Checks {
			if c.Last == nil || c.Last.Problem != want[c.Name] || c.Passed {
				t.Errorf("%s: %+v", c.Name, c.Last)
			}
		}
		closed(t, m)
	})
}

// Claim: an instance that does no step within the limit is not healthy; while it says
// that it waits it is.
func TestMonitor_Progress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := start(t, health.Config{Progress: 10 * time.Second})
		defer closed(t, m)
		expect := func(what string, healthy bool) {
			t.Helper()
			if r := m.Report(); r.Healthy != healthy || r.Ready != healthy || r.Trend != health.Unknown || len(r.Checks) != 1 {
				t.Errorf("%s: %+v", what, r)
			}
		}
		expect("at the start", true)
		time.Sleep(9 * time.Second)
		m.Step()
		time.Sleep(9 * time.Second)
		expect("after a step", true)
		resume := m.Wait()
		time.Sleep(time.Hour)
		expect("while it waits", true)
		resume()
		resume()
		time.Sleep(time.Second)
		expect("after the wait", true)
		time.Sleep(time.Second)
		expect("after the limit", false)
		if list := m.Report().Unhealthy(); len(list) != 1 || !strings.HasPrefix(list[0], "progress: no step for 11s") {
			t.Errorf("%q", list)
		}
		m.Step()
		expect("after another step", true)
	})
}

// Claim: /health and /ready answer 200 and 503 by what fails: what is for readiness
// alone does not make the instance unhealthy, and it is ready only when each check has
// passed. Both carry the report.
func TestMonitor_Handler(t *testing.T) {
	good := func(context.Context) error { return nil }
	bad := func(context.Context) error { return errBroken }
	hangs := func(ctx context.Context) error { <-ctx.Done(); return nil }
	for name, c := range map[string]struct {
		checks        []health.Check
		health, ready int
	}{
		"no checks":            {nil, 200, 200},
		"well":                 {[]health.Check{{Name: "a", Run: good}, {Name: "b", Run: good}}, 200, 200},
		"one fails":            {[]health.Check{{Name: "a", Run: good}, {Name: "b", Run: bad}}, 503, 503},
		"another's fails":      {[]health.Check{{Name: "a", Run: good}, {Name: "b", Run: bad, ReadyOnly: true}}, 200, 503},
		"one has not answered": {[]health.Check{{Name: "a", Run: good}, {Name: "b", Run: hangs, Timeout: time.Hour}}, 200, 503},
		"one has failed once":  {[]health.Check{{Name: "a", Run: good}, {Name: "b", Run: bad, Interval: time.Hour}}, 200, 503},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := start(t, health.Config{Checks: c.checks})
				defer closed(t, m)
				time.Sleep(25 * time.Second)
				for path, want := range map[string]int{"/health": c.health, "/ready": c.ready} {
					w := httptest.NewRecorder()
					m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
					var r health.Report
					err := json.Unmarshal(w.Body.Bytes(), &r)
					if w.Code != want || err != nil || len(r.Checks) != len(c.checks) || r.Healthy != (c.health == 200) || r.Ready != (c.ready == 200) ||
						w.Header().Get("Content-Type") != "application/json" {
						t.Errorf("%s: %d, want %d; %v: %s", path, w.Code, want, err, w.Body)
					}
				}
			})
		})
	}
	m := start(t, health.Config{})
	defer func() { _ = m.Close() }()
	for _, c := range []struct {
		method, path string
		want         int
	}{{"HEAD", "/health", 200}, {"POST", "/health", 405}, {"GET", "/other", 404}} {
		w := httptest.NewRecorder()
		if m.Handler().ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil)); w.Code != c.want {
			t.Errorf("%s %s: %d", c.method, c.path, w.Code)
		}
	}
}

// Claim: the names in the JSON are as documented: programs read them.
func TestReport_JSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := start(t, health.Config{Progress: time.Minute, Checks: []health.Check{
			{Name: "a", ReadyOnly: true, Run: func(context.Context) error { time.Sleep(time.Millisecond); return errBroken }},
		}})
		defer closed(t, m)
		time.Sleep(time.Second)
		got, err := json.Marshal(m.Report())
		want := `{"at":"1999-12-31T16:00:01-08:00","healthy":true,"ready":false,"trend":"unknown","checks":[` +
			`{"name":"a","ready_only":true,"passed":false,"failing":false,"failures":1,"trend":{"state":"unknown","sample":1,"share":0,"at_least":0},` +
			`"last":{"at":"1999-12-31T16:00:00.001-08:00","took_ns":1000000,"problem":"broken"}},` +
			`{"name":"progress","passed":true,"failing":false,"failures":0,"idle_ns":1000000000,"trend":{"state":"unknown","sample":0,"share":0,"at_least":0}}]}`
		var g, w any
		if err != nil || json.Unmarshal(got, &g) != nil || json.Unmarshal([]byte(want), &w) != nil {
			t.Fatal(err, string(got))
		}
		for _, v := range []any{g, w} { // whose time zones differ by machine
			v.(map[string]any)["at"] = ""
			v.(map[string]any)["checks"].([]any)[0].(map[string]any)["last"].(map[string]any)["at"] = ""
		}
		if !reflect.DeepEqual(g, w) {
			t.Errorf("%s\nwant %s", got, want)
		}
	})
}

// Claim: the check of an endpoint judges its status, follows nothing by itself, reads
// an endless answer up to a bound, ends with its context, and gives no secret away.
func TestHTTP(t *testing.T) {
	release := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("fine")) })
	mux.HandleFunc("/created", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) })
	mux.HandleFunc("/down", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	mux.Handle("/moved", http.RedirectHandler("/ok", http.StatusFound))
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/hangs", func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush(); <-release })
	server := httptest.NewServer(mux)
	defer server.Close()
	defer close(release)
	for _, c := range []struct {
		path    string
		status  int
		problem string // "" for none
	}{
		{"/ok", 0, ""},
		{"/ok", 200, ""},
		{"/created", 0, ""},
		{"/created", 200, "status 201 Created"},
		{"/down", 0, "status 503 Service Unavailable"},
		{"/down", 503, ""},
		{"/moved", 0, "status 302 Found"},
		{"/moved", 302, ""},
		{"/endless", 0, ""},
		{"/hangs", 0, "context deadline exceeded"},
	} {
		limit := 10 * time.Second
		if c.path == "/hangs" {
			limit = 50 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		err := health.HTTP(nil, server.URL+c.path+"?key=secret", c.status)(ctx)
		if cancel(); (err == nil) != (c.problem == "") || err != nil && err.Error() != c.problem {
			t.Errorf("%s, status %d: %v, want %q", c.path, c.status, err, c.problem)
		}
	}
	if err := health.HTTP(server.Client(), server.URL+"/moved", 0)(t.Context()); err != nil {
		t.Errorf("with a client that follows: %v", err)
	}
	nobody := httptest.NewServer(mux)
	nobody.Close()
	for _, address := range []string{nobody.URL + "/?key=secret", "::/?key=secret", "http://\x7f/?key=secret"} {
		if err := health.HTTP(nil, address, 0)(t.Context()); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// Claim: memory and goroutines are measured by their limits.
func TestResources(t *testing.T) {
	ballast := make([]byte, 64<<20)
	for i := range ballast {
		ballast[i] = 1
	}
	for name, c := range map[string]struct {
		run  func(context.Context) error
		says string
	}{
		"enough memory":     {health.Memory(1 << 40), ""},
		"too little memory": {health.Memory(64 << 20), "MiB are held, more than 64 MiB"},
		"few goroutines":    {health.Goroutines(100_000), ""},
		"many goroutines":   {health.Goroutines(1), "goroutines, more than 1"},
	} {
		if err := c.run(t.Context()); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if ballast[len(ballast)-1] != 1 {
		t.Error("the memory was not held")
	}
}

// Claim: a monitor may be used by many goroutines while checks run.
func TestMonitor_Concurrent(t *testing.T) {
	m := start(t, health.Config{Progress: time.Minute, Checks: []health.Check{
		{Name: "a", Interval: time.Millisecond, Run: func(context.Context) error { return nil }},
		{Name: "b", Interval: time.Millisecond, Run: health.Memory(1 << 40)},
	}})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				resume := m.Wait()
				m.Step()
				m.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/health", nil))
				resume()
			}
		})
	}
	all.Go(func() { _ = m.Close() })
	all.Wait()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

func TestStart_Refuses(t *testing.T) {
	run := func(context.Context) error { return nil }
	for name, cfg := range map[string]health.Config{
		"no name": {Checks: []health.Check{{Run: run}}}, "nothing to run": {Checks: []health.Check{{Name: "a"}}},
		"twice": {Checks: []health.Check{{Name: "a", Run: run}, {Name: "a", Run: run}}}, "progress": {Checks: []health.Check{{Name: "progress", Run: run}}},
		"too many": {Checks: make([]health.Check, 65)}, "interval": {Checks: []health.Check{{Name: "a", Run: run, Interval: -1}}},
		"timeout": {Checks: []health.Check{{Name: "a", Run: run, Timeout: -1}}}, "limits": {Checks: []health.Check{{Name: "a", Run: run, Limits: health.Limits{Rate: 2}}}},
		"no progress": {Progress: -1}, "progress of a check": {Checks: []health.Check{{Name: "a", Run: run, Limits: health.Limits{Progress: time.Second}}}},
	} {
		if _, err := health.Start(cfg); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
