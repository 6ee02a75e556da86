// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// dues stands for the machine: what is due, and when.
type dues struct {
	at     map[string]time.Time
	looked []time.Time // from where
}

func (d *dues) DueTxns(from, now time.Time) (ids []hawser.TxnID, _ error) {
	d.looked = append(d.looked, from)
	for id, at := range d.at {
		if !at.Before(from) && !at.After(now) {
			ids = append(ids, hawser.TxnID{Namespace: "default", ID: id})
		}
	}
	return ids, nil
}

func (*dues) Close() error { return nil }

// What is due is swept within a tenth of a second, what became due in the past
// within a second, and nothing while another node leads.
func TestSweeper_SweepsWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		machine, leads := &dues{at: map[string]time.Time{}}, true
		swept := map[string]time.Time{}
		s := StartSweeper(SweeperConfig{
			View: func() (SweepView, error) { return machine, nil }, Leads: func() bool { return leads }, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
			Submit: func(_ context.Context, c fsm.Command) (fsm.Result, error) {
				ids := c.(*fsm.SweepTxns).IDs
				for _, id := range ids {
					swept[id.ID] = time.Now()
					delete(machine.at, id.ID)
				}
				return fsm.Result{Pruned: uint64(len(ids))}, nil
			},
		})
		defer s.Close()
		await := func(id string, at time.Time, within time.Duration) {
			t.Helper()
			machine.at[id] = at
			begin := time.Now()
			time.Sleep(within)
			synctest.Wait()
			if end, ok := swept[id]; !ok || end.Before(at) {
				t.Errorf("%s, due after %s, was swept: %t, after %s", id, at.Sub(begin), ok, end.Sub(begin))
			}
		}
		time.Sleep(3*time.Second + time.Millisecond)
		await("soon", time.Now().Add(450*time.Millisecond), 550*time.Millisecond)
		await("late", time.Now().Add(-2*time.Second), time.Second)
		if n := len(machine.looked) - len(slices.DeleteFunc(slices.Clone(machine.looked), time.Time.IsZero)); n < 4 || n > 6 {
			t.Errorf("%d of %d looks were at everything", n, len(machine.looked))
		}
		leads = false
		machine.at["not ours"] = time.Now()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if _, ok := swept["not ours"]; ok {
			t.Error("swept while another node leads")
		}
		leads = true
		await("not ours", machine.at["not ours"], 100*time.Millisecond)
	})
}
