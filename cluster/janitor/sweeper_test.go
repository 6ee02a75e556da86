// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// dues stands for the machine: what is due, and when. Its lock guards all that the
// test and the sweeper share.
type dues struct {
	sync.Mutex

	at, swept map[string]time.Time
	looked    []time.Time // from where
	leads     bool
}

func (d *dues) DueTxns(from, now time.Time) (ids []hawser.TxnID, _ error) {
	d.Lock()
	defer d.Unlock()
	d.looked = append(d.looked, from)
	for id, at := range d.at {
		if !at.Before(from) && !at.After(now) {
			ids = append(ids, hawser.TxnID{Namespace: "default", ID: id})
		}
	}
	return ids, nil
}

func (d *dues) sweep(_ context.Context, c fsm.Command) (fsm.Result, error) {
	d.Lock()
	defer d.Unlock()
	ids := c.(*fsm.SweepTxns).IDs
	for _, id := range ids {
		d.swept[id.ID] = time.Now()
		delete(d.at, id.ID)
	}
	return fsm.Result{Pruned: uint64(len(ids))}, nil
}

// lead says whether the node leads, and makes a transaction due.
func (d *dues) lead(leads bool, id string, at time.Time) {
	d.Lock()
	defer d.Unlock()
	d.leads, d.at[id] = leads, at
}

func (d *dues) sweptAt(id string) (time.Time, bool) {
	d.Lock()
	defer d.Unlock()
	at, ok := d.swept[id]
	return at, ok
}

func (*dues) Close() error { return nil }

// What is due is swept within a tenth of a second, what became due in the past
// within a second, and nothing while another node leads.
func TestSweeper_SweepsWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &dues{at: map[string]time.Time{}, swept: map[string]time.Time{}, leads: true}
		s := StartSweeper(SweeperConfig{
			View: func() (SweepView, error) { return d, nil }, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Submit: d.sweep,
			Leads: func() bool {
				d.Lock()
				defer d.Unlock()
				return d.leads
			},
		})
		defer s.Close()
		await := func(id string, at time.Time, within time.Duration) {
			t.Helper()
			d.lead(true, id, at)
			begin := time.Now()
			time.Sleep(within)
			if end, ok := d.sweptAt(id); !ok || end.Before(at) {
				t.Errorf("%s, due after %s, was swept: %t, after %s", id, at.Sub(begin), ok, end.Sub(begin))
			}
		}
		time.Sleep(3*time.Second + time.Millisecond)
		await("soon", time.Now().Add(450*time.Millisecond), 550*time.Millisecond)
		await("late", time.Now().Add(-2*time.Second), time.Second)
		d.Lock()
		all, partial := len(d.looked), len(slices.DeleteFunc(slices.Clone(d.looked), time.Time.IsZero))
		d.Unlock()
		if all-partial < 4 || all-partial > 6 {
			t.Errorf("%d of %d looks were at everything", all-partial, all)
		}
		at := time.Now()
		d.lead(false, "not ours", at)
		time.Sleep(2 * time.Second)
		if _, ok := d.sweptAt("not ours"); ok {
			t.Error("swept while another node leads")
		}
		await("not ours", at, 101*time.Millisecond)
	})
}
