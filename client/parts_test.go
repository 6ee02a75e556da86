// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/internal/fakecluster"
	"github.com/hawserdb/hawser/internal/record"
)

// States of any size and texture come back, whole or as long deltas, from a
// client that never saw them.
func TestParts_RoundTrip(t *testing.T) {
	cluster, c := start(t, 1) // with nowhere else to go, no attempt is cut short on a slow machine
	for name, state := range map[string][]byte{
		"just inline": noise(record.MaxInline), "one byte more": noise(record.MaxInline + 1), "packed first": noise(1 << 20),
		"packs to little": make([]byte, 3<<20), "packed on the way": text(5 << 20), "not worth packing": noise(5 << 20),
		"packs to little on the way": make([]byte, 5<<20),
	} {
		a := c.Agent("a/" + name)
		var saves recorder[sent]
		cluster.SetFault(watchSaves(&saves, fakecluster.Pass))
		long := append(slices.Clone(state), noise(200<<10, 2)...) // a delta in parts, if the rule allows one
		for i, next := range [][]byte{state, append(slices.Clone(state), "little"...), long} {
			v, err := a.Save(t.Context(), next)
			wantNumber(t, v, err, uint64(i+1))
			cp, err := dial(t, cluster).Agent(a.ID().Name).Restore(t.Context())
			if err != nil || !bytes.Equal(cp.State, next) {
				t.Errorf("%s: version %d: %d bytes restored: %v", name, i+1, len(cp.State), err)
			}
		}
		all := saves.take()
		if !all[1].delta || all[1].bytes > 100 || all[2].delta != (len(state) >= 1<<20 && name[:7] != "packs t") {
			t.Errorf("%s: sent as %+v", name, all)
		}
	}
}

// A save in parts that breaks after any message is repeated under the same id,
// executed once, and arrives whole.
func TestParts_BrokenAtEveryMessage(t *testing.T) {
	state := noise(5*record.PartSize + 7)
	faults := map[string]fakecluster.Fault{
		"lost answer": receiveAll(fakecluster.BreakAfter), "no answer": receiveAll(fakecluster.Swallow),
		"refused at once": fakecluster.Refuse(hawser.CodeUnavailable), "refused at the end": receiveAll(fakecluster.Refuse(hawser.CodeUnavailable)),
	}
	for n := 1; n <= 8; n++ { // the save, six parts, the end
		faults[fmt.Sprint("after ", n)] = fakecluster.CutRequests(n)
		faults[fmt.Sprint("silent after ", n)] = func(ctx context.Context, call fakecluster.Call) (any, error) {
			for range n - 1 {
				if _, err := call.Receive(); err != nil {
					t.Error(err)
				}
			}
			return fakecluster.Hang(ctx, call)
		}
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cluster, c := start(t, 3)
				var saves recorder[sent]
				cluster.SetFault(watchSaves(&saves, fakecluster.Script("SaveParts", fault, fault)))
				v, err := c.Agent("a").Save(t.Context(), state)
				wantNumber(t, v, err, 1)
				all := saves.take()
				for i, s := range all {
					if s.attempt != uint32(i) || s.nonce != all[0].nonce {
						t.Errorf("attempt %d: %+v", i, s)
					}
				}
				if len(all) != 3 || cluster.MaxExecutions() != 1 {
					t.Errorf("%d attempts, executed %d times", len(all), cluster.MaxExecutions())
				}
				if cp, err := dial(t, cluster).Agent("a").Restore(t.Context()); err != nil || !bytes.Equal(cp.State, state) {
					t.Errorf("restored %d bytes: %v", len(cp.State), err)
				}
			})
		})
	}
}

// receiveAll runs a fault once all requests are there.
func receiveAll(fault fakecluster.Fault) fakecluster.Fault {
	return func(ctx context.Context, call fakecluster.Call) (any, error) {
		for {
			m, err := call.Receive()
			if errors.Is(err, io.EOF) || err == nil && m.(*hawserv1.SavePartsRequest).GetEnd() != nil {
				return fault(ctx, call)
			}
			if err != nil {
				return nil, err
			}
		}
	}
}

// A save whose end was never sent was not executed, and one whose end was sent
// may have been.
func TestParts_UnknownOnlyOnceTheEndWasSent(t *testing.T) {
	state := noise(5 << 20)
	for name, tc := range map[string]struct {
		fault   fakecluster.Fault
		unknown bool
	}{
		"cut early": {fakecluster.CutRequests(3), false},
		"swallowed": {receiveAll(fakecluster.Swallow), true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cluster, c := start(t, 3)
				cluster.SetFault(fakecluster.Always("SaveParts", tc.fault))
				a := c.Agent("a")
				ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
				defer cancel()
				_, err := a.Save(ctx, state)
				if err == nil || errors.Is(err, hawser.ErrOutcomeUnknown) != tc.unknown {
					t.Fatalf("error %v", err)
				}
				cluster.SetFault(nil)
				v, err := a.Save(t.Context(), state)
				wantNumber(t, v, err, map[bool]uint64{false: 1, true: 2}[tc.unknown])
			})
		})
	}
}

// A refusal ends a save in the middle of its parts.
func TestParts_FinalRefusalMidway(t *testing.T) {
	cluster, c := start(t, 3)
	cluster.SetFault(fakecluster.Always("SaveParts", func(ctx context.Context, call fakecluster.Call) (any, error) {
		if _, err := call.Receive(); err != nil {
			return nil, err
		}
		return fakecluster.Refuse(hawser.CodeStorageFull)(ctx, call)
	}))
	_, err := c.Agent("a").Save(t.Context(), noise(6<<20))
	wantError(t, err, hawser.ErrStorageFull)
	if errors.Is(err, hawser.ErrOutcomeUnknown) {
		t.Error(err)
	}
}

// A restore that breaks after any message is repeated and comes whole.
func TestRestore_BrokenAtEveryMessage(t *testing.T) {
	cluster, c := start(t, 3)
	a := c.Agent("a")
	state := noise(3*record.PartSize + 7)
	save(t, a, state)
	state = append(state, noise(150<<10, 2)...) // a delta in parts
	save(t, a, state)
	state = append(state, "and on"...)
	save(t, a, state)
	messages := 0
	for n := 0; n <= messages; n++ {
		var calls int
		cluster.SetFault(fakecluster.Always("Restore", func(ctx context.Context, call fakecluster.Call) (any, error) {
			resp, err := call.Execute()
			if err != nil {
				return nil, err
			}
			messages = len(resp.(fakecluster.Messages))
			if calls++; calls > 2 {
				return resp, nil
			}
			return fakecluster.Cut(n)(ctx, call)
		}))
		cp, err := dial(t, cluster).Agent("a").Restore(t.Context())
		if err != nil || !bytes.Equal(cp.State, state) || calls != 3 {
			t.Errorf("cut after %d of %d: %d bytes in %d calls: %v", n, messages, len(cp.State), calls, err)
		}
	}
	if messages < 8 {
		t.Errorf("only %d messages", messages)
	}
}

// A stream of responses that makes no sense is corrupt, and not asked for again.
func TestRestore_SenselessStreams(t *testing.T) {
	const part = record.PartSize
	type response = hawserv1.RestoreResponse
	for name, damage := range map[string]func(m fakecluster.Messages) fakecluster.Messages{
		"a part missing":  func(m fakecluster.Messages) fakecluster.Messages { return m[:len(m)-1] },
		"a part twice":    func(m fakecluster.Messages) fakecluster.Messages { return append(m, m[len(m)-1]) },
		"parts exchanged": func(m fakecluster.Messages) fakecluster.Messages { m[1], m[2] = m[2], m[1]; return m },
		"a short part": func(m fakecluster.Messages) fakecluster.Messages {
			m[1].(*response).Part = m[1].(*response).Part[1:]
			return m
		},
		"no parts announced": func(m fakecluster.Messages) fakecluster.Messages { m[0].(*response).Keyframe.Parts = 0; return m },
		"far too many parts": func(m fakecluster.Messages) fakecluster.Messages { m[0].(*response).Keyframe.Parts = 1 << 30; return m },
		"nothing in it":      func(fakecluster.Messages) fakecluster.Messages { return fakecluster.Messages{&response{}} },
		"no keyframe":        func(m fakecluster.Messages) fakecluster.Messages { m[0].(*response).Keyframe = nil; return m[:1] },
		"parts and data": func(m fakecluster.Messages) fakecluster.Messages {
			m[0].(*response).Keyframe.Data = make([]byte, part)
			return m
		},
		"more than one chain": func(m fakecluster.Messages) fakecluster.Messages { return append(m, endlessDeltas()) },
		"a delta among parts": func(m fakecluster.Messages) fakecluster.Messages { return slices.Insert(m, 2, any(endlessDeltas())) },
	} {
		cluster, c := start(t, 1)
		save(t, c.Agent("a"), noise(3*part+7))
		calls := 0
		cluster.SetFault(fakecluster.Always("Restore", func(_ context.Context, call fakecluster.Call) (any, error) {
			calls++
			resp, err := call.Execute()
			if err != nil {
				return nil, err
			}
			return damage(resp.(fakecluster.Messages)), nil
		}))
		_, err := dial(t, cluster).Agent("a").Restore(t.Context())
		if !errors.Is(err, hawser.ErrCorrupt) || calls != 1 {
			t.Errorf("%s: %d calls: %v", name, calls, err)
		}
	}
}

func endlessDeltas() *hawserv1.RestoreResponse {
	m := &hawserv1.RestoreResponse{}
	for range record.MaxChain + 1 {
		m.Deltas = append(m.Deltas, &hawserv1.Payload{Encoding: hawserv1.Encoding_ENCODING_RAW, Data: []byte("x"), Size: 1})
	}
	return m
}

// The time of a call grows with its bytes, and so does that of an attempt.
func TestParts_Time(t *testing.T) {
	const size = 6 << 20 // 600 ms
	state := noise(size)
	bubble(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		var v visits
		cluster.SetFault(v.around(fakecluster.Always("SaveParts", receiveAll(fakecluster.Hang))))
		took := elapsed(func() {
			_, err := c.Agent("a").Save(t.Context(), state)
			wantUnknown(t, err)
		})
		if want := client.DefaultRequestTimeout + 1200*time.Millisecond; took != want {
			t.Errorf("took %v, want %v", took, want)
		}
		if n := len(v.take()); n < 4 || n > 8 { // three of 1.1 s, then of 2.2 s
			t.Errorf("%d attempts", n)
		}
	})
	bubble(t, func(t *testing.T) { // nobody told the reader how much will come
		cluster, c := start(t, 3)
		save(t, c.Agent("a"), state)
		cluster.SetFault(paced(15 * time.Millisecond))
		took := elapsed(func() {
			if _, err := dial(t, cluster).Agent("a").Restore(t.Context()); err != nil {
				t.Error(err)
			}
		})
		if took < 700*time.Millisecond || took > 900*time.Millisecond {
			t.Errorf("took %v", took)
		}
		// An answer that stops is given up all the same.
		cluster.SetFault(paced(time.Hour))
		took = elapsed(func() {
			_, err := dial(t, cluster).Agent("a").Restore(t.Context())
			wantError(t, err, hawser.ErrUnavailable)
			wantError(t, err, context.DeadlineExceeded)
		})
		if took != client.DefaultRequestTimeout {
			t.Errorf("gave up after %v", took)
		}
	})
	bubble(t, func(t *testing.T) { // an answer that has begun may outlast the budget
		cluster, c := start(t, 1)
		save(t, c.Agent("a"), state)
		cluster.SetFault(paced(15 * time.Millisecond))
		reader := dialWith(t, cluster, client.Config{RequestTimeout: 300 * time.Millisecond})
		if _, err := reader.Agent("a").Restore(t.Context()); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := dial(t, cluster).Agent("a").Restore(ctx)
		wantError(t, err, context.DeadlineExceeded)
	})
}

func paced(pause time.Duration) fakecluster.Fault {
	return fakecluster.Always("Restore", func(_ context.Context, call fakecluster.Call) (any, error) {
		resp, err := call.Execute()
		if err != nil {
			return nil, err
		}
		return fakecluster.Slow{Messages: resp.(fakecluster.Messages), Pause: pause}, nil
	})
}

// What a call started ends with it, however its stream ended.
func TestParts_LeaveNoGoroutines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cluster, c := start(t, 1)
		a := c.Agent("a")
		state := noise(600 << 10)
		save(t, a, state)
		reader := dialWith(t, cluster, client.Config{MaxCachedBytes: -1}).Agent("a")
		if _, err := reader.Restore(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		before := goroutines()
		for i, fault := range []fakecluster.Fault{
			fakecluster.Cut(3), fakecluster.CutRequests(3), fakecluster.Refuse(hawser.CodePermissionDenied),
			fakecluster.Refuse(hawser.CodePermissionDenied), fakecluster.Hang, fakecluster.Hang,
		} {
			cluster.SetFault(fault)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			if i%2 == 0 {
				_, _ = reader.Restore(ctx)
			} else {
				_, _ = a.Save(ctx, noise(600<<10, 2), client.Overwrite())
			}
			cancel()
			synctest.Wait() // until whatever ends has ended
			if n := goroutines(); n > before {
				t.Errorf("call %d: %d goroutines, %d before", i, n, before)
			}
		}
	})
}
