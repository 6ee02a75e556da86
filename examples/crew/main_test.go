// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hawserdb/hawser/hawsertest"
)

// slowModel answers after a while, and counts questions by key and by text.
type slowModel struct {
	mu    sync.Mutex
	keys  map[string]int
	asked map[string]map[string]bool
}

func (m *slowModel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(300 * time.Millisecond)
	question, key := r.FormValue("q"), r.Header.Get("Idempotency-Key")
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys[key]++
	if m.asked[question] == nil {
		m.asked[question] = map[string]bool{}
	}
	m.asked[question][key] = true
	fmt.Fprintf(w, "(%d letters were asked.)", len(question))
}

// The report is what an undisturbed crew writes, and each question has one key at the
// model, though processes of the crew are killed all the time.
func TestCrew_SurvivesKills(t *testing.T) {
	cluster := hawsertest.StartCluster(t, 1)
	program := filepath.Join(t.TempDir(), "crew")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	model := &slowModel{keys: map[string]int{}, asked: map[string]map[string]bool{}}
	server := httptest.NewServer(model)
	defer server.Close()
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), "HAWSER_ENDPOINTS="+cluster.Endpoint(0), "MODEL_URL="+server.URL)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	kills := 0
	for over := false; !over; {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v\n%s", err, log.String())
			}
			over = true
		case <-time.After(time.Duration(100+rand.IntN(200)) * time.Millisecond):
			if kills < 8 && killChild(cmd.Process.Pid) {
				kills++
			}
		case <-time.After(2 * time.Minute):
			t.Fatal("the crew does not come to an end")
		}
	}
	var want report
	for n := range questions {
		question := fmt.Sprintf("What is known about part %d?", n)
		answer, err := standIn(t.Context(), "", question)
		if err != nil {
			t.Fatal(err)
		}
		want.Findings = append(want.Findings, finding{n, question, answer})
	}
	if out.String() != want.text() {
		t.Errorf("the report is\n%swant\n%s", out.String(), want.text())
	}
	for question, keys := range model.asked {
		if len(keys) != 1 {
			t.Errorf("%q was asked with %d keys", question, len(keys))
		}
	}
	t.Logf("%d processes were killed", kills)
	if kills == 0 {
		t.Error("nobody was killed")
	}
}

// killChild kills a random child of a process.
func killChild(pid int) bool {
	var children []int
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return false
	}
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		var child, parent int
		var state string
		_, rest, _ := strings.Cut(string(text), ") ")
		if _, err := fmt.Sscan(rest, &state, &parent); err != nil || parent != pid {
			continue
		}
		if _, err := fmt.Sscan(string(text), &child); err == nil {
			children = append(children, child)
		}
	}
	return len(children) > 0 && syscall.Kill(children[rand.IntN(len(children))], syscall.SIGKILL) == nil
}
