// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hawserdb/hawser/jepsen/clock"
	"github.com/hawserdb/hawser/jepsen/rig"
)

// jumps are how far a wall clock jumps.
var jumps = []time.Duration{
	5 * time.Second, -5 * time.Second, time.Hour, -time.Hour, -24 * time.Hour, 365 * 24 * time.Hour, 20 * 365 * 24 * time.Hour, -20 * 365 * 24 * time.Hour,
}

// clockJump sets the wall clock of a node wrong, all at once, and right again.
func clockJump(who chooser) Fault {
	return Fault{Name: "clock-" + who.name, Clocks: true, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) (Injury, error) {
		i, offset := who.choose(ctx, r, rng)[0], jumps[rng.IntN(len(jumps))]
		if !r.Running(i) || r.Stuck(i) {
			return nothing("%s is not up", names([]int{i}))
		}
		p := r.Process(i)
		c, err := clock.Take(p.PID())
		if err == nil {
			err = c.Set(offset)
		}
		if errors.Is(err, fs.ErrNotExist) || err != nil && !r.Running(i) {
			return nothing("%s has ended", names([]int{i}))
		}
		if err != nil {
			return Injury{}, err
		}
		seen := make(chan error, 1)
		go func() { seen <- tells(r, i, offset) }()
		heal := func(context.Context) error {
			// A process that has ended has no memory any more.
			if err := c.Set(0); err != nil && !errors.Is(err, fs.ErrNotExist) && r.Running(i) && r.Process(i) == p {
				return err
			}
			return nil
		}
		return Injury{What: fmt.Sprintf("the wall clock of %s jumps by %s", names([]int{i}), offset), Heal: heal, Proof: func() error { return <-seen }}, nil
	}}
}

// tells waits until a node says, by the date of an answer, that its clock is
// wrong by so much.
func tells(r *rig.Rig, i int, offset time.Duration) (err error) {
	asking := http.Client{Timeout: 300 * time.Millisecond}
	for range 5 {
		var resp *http.Response
		if resp, err = asking.Get("http://" + r.Nodes()[i].HTTP + "/healthz"); err != nil {
			continue
		}
		_ = resp.Body.Close()
		var date time.Time
		if date, err = http.ParseTime(resp.Header.Get("Date")); err != nil {
			continue
		}
		is := time.Until(date) // which is of whole seconds
		if (is - offset).Abs() < 2500*time.Millisecond {
			return nil
		}
		err = fmt.Errorf("its clock is off by %s", is.Round(time.Second))
		time.Sleep(100 * time.Millisecond)
	}
	return err
}
