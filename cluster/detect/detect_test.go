// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package detect

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser/cluster/consensus"
	"github.com/hawserdb/hawser/cluster/policy"
)

var errRefused = errors.New("refused")

// world is what a detector on n2 sees of n1, which leads n1, n2 and n3.
type world struct {
	mu       sync.Mutex
	refused  bool
	boot     uint64
	lines    []*fakeLine
	gossip   policy.Liveness
	answered map[string]float64 // the part of probes, 1 for who is not there
	contact  time.Time
	beating  bool // raft has contact all the time
	mute     bool
	agrees   bool
	standing consensus.Standing
	attempts []time.Time
	pings    int
}

type fakeLine struct {
	boot uint64
	once sync.Once
	done chan struct{}
}

func (l *fakeLine) Done() <-chan struct{} { return l.done }
func (l *fakeLine) BootID() uint64        { return l.boot }
func (l *fakeLine) Close()                { l.once.Do(func() { close(l.done) }) }

func newWorld() *world {
	return &world{
		boot: 1, gossip: policy.Alive, beating: true, agrees: true,
		standing: consensus.Standing{Term: 5, Leader: "n1"},
	}
}

func (w *world) do(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// kill ends the process of n1: lines close.
func (w *world) kill() {
	w.do(func() {
		w.refused, w.beating, w.contact = true, false, time.Now()
		for _, l := range w.lines {
			l.Close()
		}
	})
}

func (w *world) start(t *testing.T) *Detector {
	t.Helper()
	d := New(Config{
		Self: "n2", Voters: func() []string { return []string{"n1", "n2", "n3"} }, Fetching: func() bool { return false },
		Logger: slog.New(slog.DiscardHandler), LastEntry: func() (uint64, uint64) { return 5, 100 },
		Standing: func() (s consensus.Standing) {
			w.do(func() {
				s = w.standing
				if s.Contact = w.contact; w.beating {
					s.Contact = time.Now()
				}
			})
			return s
		},
		Liveness: func(string) (l policy.Liveness) { w.do(func() { l = w.gossip }); return l },
		Answered: func(id string) (part float64) {
			w.do(func() {
				var ok bool
				if part, ok = w.answered[id]; !ok {
					part = 1
				}
			})
			return part
		},
		Dial: func(_ context.Context, id string) (Line, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if id != "n1" {
				t.Errorf("line to %s", id)
			}
			if w.refused {
				return nil, errRefused
			}
			l := &fakeLine{boot: w.boot, done: make(chan struct{})}
			w.lines = append(w.lines, l)
			return l, nil
		},
		Refused: func(err error) bool { return errors.Is(err, errRefused) },
		Ping: func(ctx context.Context, _ string) error {
			mute := false
			w.do(func() { mute = w.mute; w.pings++ })
			if mute {
				<-ctx.Done()
			}
			return ctx.Err()
		},
		Ask: func(_ context.Context, voter, leader string, term uint64) (a policy.Answer, err error) {
			if voter != "n3" || leader != "n1" || term != 5 {
				t.Errorf("%s is asked about %s of term %d", voter, leader, term)
			}
			w.do(func() { a = policy.Answer{Term: 5, Suspects: w.agrees, Log: policy.Log{Term: 5, Index: 99}} })
			return a, nil
		},
		Campaign: func(_ context.Context, term uint64) error {
			w.do(func() { w.attempts = append(w.attempts, time.Now()) })
			if term != 5 {
				t.Errorf("stands in term %d", term)
			}
			return nil
		},
	})
	t.Cleanup(d.Close)
	return d
}

// Claim: each way in which a leader goes leads to an election in its time, and
// what only looks like it leads to none. Method: five seconds of quiet, the
// fault, ten seconds; the clock is synthetic.
func TestDetector_Faults(t *testing.T) {
	const never = time.Duration(-1)
	for name, c := range map[string]struct {
		fault        func(*world)
		from, within time.Duration
	}{
		"nothing happens": {func(*world) {}, never, 0},
		"killed":          {(*world).kill, 0, 10 * time.Millisecond},
		"killed, one sees it late": {func(w *world) {
			w.agrees = false
			w.kill()
			time.AfterFunc(300*time.Millisecond, func() { w.do(func() { w.agrees = true }) })
		}, 300 * time.Millisecond, 330 * time.Millisecond},
		"killed, nobody agrees": {func(w *world) { w.kill(); w.do(func() { w.agrees = false }) }, never, 0},
		"restarted at once": {func(w *world) {
			w.do(func() {
				w.boot, w.beating, w.contact = 2, false, time.Now()
				for _, l := range w.lines {
					l.Close()
				}
			})
		}, 0, 10 * time.Millisecond},
		"connection lost, process lives": {func(w *world) {
			w.do(func() {
				for _, l := range w.lines {
					l.Close()
				}
			})
		}, never, 0},
		"frozen": {func(w *world) {
			w.do(func() { w.beating, w.contact, w.mute = false, time.Now(), true })
			time.AfterFunc(750*time.Millisecond, func() { w.do(func() { w.gossip = policy.Dead }) })
		}, 750 * time.Millisecond, 830 * time.Millisecond},
		"poor links": {func(w *world) {
			w.do(func() { w.mute, w.answered = true, map[string]float64{"n1": 0.4} })
			time.AfterFunc(700*time.Millisecond, func() { w.do(func() { w.mute = false }) })
		}, 500 * time.Millisecond, 620 * time.Millisecond},
		"short of processor": {func(w *world) { w.do(func() { w.answered = map[string]float64{"n1": 0.4} }) }, never, 0},
		"poor links of all": {func(w *world) {
			w.do(func() { w.mute, w.answered = true, map[string]float64{"n1": 0.4, "n3": 0.7} })
			time.AfterFunc(700*time.Millisecond, func() { w.do(func() { w.mute = false }) })
		}, never, 0},
		"a disk that stalls": {func(w *world) { w.do(func() { w.beating, w.contact = false, time.Now() }) }, never, 0},
		"gossip alone":       {func(w *world) { w.do(func() { w.gossip = policy.Dead }) }, never, 0},
		"gossip and silence, but it answers": {func(w *world) {
			w.do(func() { w.gossip, w.beating, w.contact = policy.Dead, false, time.Now() })
		}, never, 0},
		"frozen for half a second": {func(w *world) {
			w.do(func() { w.beating, w.contact, w.mute = false, time.Now(), true })
			time.AfterFunc(500*time.Millisecond, func() { w.do(func() { w.beating, w.mute = true, false }) })
		}, never, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.start(t)
				time.Sleep(5 * time.Second)
				if w.pings != 0 || len(w.attempts) != 0 {
					t.Fatalf("%d pings and %d attempts before the fault", w.pings, len(w.attempts))
				}
				begin := time.Now()
				c.fault(w)
				time.Sleep(10 * time.Second)
				w.mu.Lock()
				defer w.mu.Unlock()
				if c.from == never {
					if len(w.attempts) != 0 {
						t.Fatalf("stands for election after %s", w.attempts[0].Sub(begin))
					}
					return
				}
				if len(w.attempts) == 0 {
					t.Fatal("does not stand for election")
				}
				if after := w.attempts[0].Sub(begin); after < c.from || after > c.within {
					t.Errorf("stands after %s, want %s to %s", after, c.from, c.within)
				}
				for i := 1; i < len(w.attempts); i++ {
					if gap := w.attempts[i].Sub(w.attempts[i-1]); gap < time.Second {
						t.Errorf("stands again after %s", gap)
					}
				}
			})
		})
	}
}

// Claim: a refused dial means nothing before the leader's process was ever
// reached: the address may be an old one.
func TestDetector_AddressThatWasNeverRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.refused = true
		d := w.start(t)
		time.Sleep(5 * time.Second)
		if len(w.attempts) != 0 || len(d.Notes()) != 0 {
			t.Errorf("%d attempts, notes %q", len(w.attempts), d.Notes())
		}
	})
}

// Claim: a node tells others what it sees itself, and follows the next leader
// from the beginning.
func TestDetector_AnswersAndFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.agrees = false
		d := w.start(t)
		time.Sleep(time.Second)
		if a := d.Answer("n1", 5); a.Suspects || a.Voter != "n2" || !a.MayLead {
			t.Errorf("of a leader that lives: %+v", a)
		}
		w.kill()
		time.Sleep(100 * time.Millisecond)
		if a := d.Answer("n1", 5); !a.Suspects || a.Log != (policy.Log{Term: 5, Index: 100}) {
			t.Errorf("of one that was killed: %+v", a)
		}
		if len(d.Notes()) == 0 {
			t.Error("no notes about a leader that is gone")
		}
		w.do(func() {
			w.refused, w.beating = false, true
			w.standing.Term = 6
		})
		time.Sleep(200 * time.Millisecond)
		if a := d.Answer("n1", 6); a.Suspects || len(d.Notes()) != 0 {
			t.Errorf("of the same one, elected anew: %+v, notes %q", a, d.Notes())
		}
	})
}
