// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package mutant

// All returns every mutant.
func All() []Mutant {
	return []Mutant{
		{
			Name: "read-unconfirmed", Defect: "a node reads without asking the others whether it is still up to date",
			File: "cluster/service/read.go", Change: []string{"err := b.Reads.Wait(ctx)", "err := error(nil)"},
		},
		{
			Name: "read-without-waiting", Defect: "a node learns how far it must be for a read, and does not wait until it is",
			File: "cluster/read/indexer.go", Change: []string{"err = x.cfg.Machine.Wait(ctx, index)", "_ = index"},
		},
		{
			Name: "leader-unconfirmed", Defect: "a leader that may be deposed reads without asking a majority",
			File:   "cluster/read/round.go",
			Change: []string{"if err := x.poll(ctx, ready, confirmed); err != nil {", "if err := error(nil); confirmed == nil && err != nil {"},
			// A leader that is cut off gives up before there is another one.
			Faults: []string{"pause-leader"},
		},
		{
			Name: "least-revision-ignored", Defect: "a stale read does not wait for the revision that it asks for",
			File: "cluster/service/read.go", Change: []string{"err = b.atLeast(waiting, hawser.Revision(o.GetMinRevision()))", "err = b.atLeast(waiting, 0)"},
			Faults: []string{"slow-links", "one-way-one", "starve-one"},
		},
		{
			Name: "term-not-begun", Defect: "a new leader reads before it has an entry of its own term",
			File: "cluster/read/round.go", Change: []string{"ready := x.cfg.ReadyTerm()", "ready := x.cfg.Term()"},
		},
		{
			Name: "repeat-forgotten", Defect: "a request that comes again is executed again",
			File:   "fsm/repeat.go",
			Change: []string{"rec, err := c.find(a, q)", "rec, err := (*chainRecord)(nil), error(nil)"},
		},
		{
			Name: "condition-ignored", Defect: "a save that expects another head is executed",
			File: "fsm/repeat.go", Change: []string{"if expect != nil && *expect != a.live {", "if expect != nil && *expect > a.live {"},
		},
		{
			Name: "save-lost", Defect: "one save in fifty is answered and not stored",
			File: "fsm/save.go", Change: []string{"a.head, a.changed = rec.number, true", "a.head, a.changed = rec.number, rec.number%50 != 0"},
		},
		{
			Name: "fence-unchecked", Defect: "a save under a claim that is over is executed",
			File: "fsm/fence.go", Change: []string{
				"if live == nil || live.number != number {\n\t\treturn 0, fencedError(a, live), nil", "if live == nil || live.number != number {\n\t\treturn number, nil, nil",
			},
		},
		{
			Name: "renewal-ignored", Defect: "a lease expires a TTL after it was opened, though it is renewed",
			File: "cluster/lease/table.go", Change: []string{"l.timer.due = now + l.ttl", "_ = now"},
		},
		{
			Name: "expires-early", Defect: "a lease expires a third of its TTL too early",
			File:   "cluster/lease/table.go",
			Change: []string{"l.timer.due = now + l.ttl", "l.timer.due = now + l.ttl*2/3", "timer: timer{due: now + ttl}", "timer: timer{due: now + ttl*2/3}"},
			Faults: []string{"pause-client", "kill-client"},
		},
		{
			Name: "time-not-given-again", Defect: "a new leader takes the time of all leases for over",
			File: "cluster/lease/table.go", Change: []string{"t.open(info.ID, info.TTL, now)", "t.open(info.ID, info.TTL, now-info.TTL)"},
			Faults: []string{"kill-leader", "transfers", "pause-leader"},
		},
		{
			Name: "expiry-of-any-term", Defect: "a lease expires although another leader has begun to count since",
			File: "fsm/lease.go", Change: []string{"case l.isOpen() && e.Term != 0 && e.Term != c.state.leaderTerm:", "case l.isOpen() && e.Term != 0 && e.Term > c.state.leaderTerm:"},
			Faults: []string{"transfers", "starve-leader", "pause-leader", "pause-client"},
		},
		{
			Name: "fence-does-not-rise", Defect: "one grant of a lock in five has the fence of the one before",
			File:   "fsm/acquire.go",
			Change: []string{"c.state.grants++", "if c.state.revision%5 != 0 || c.state.grants == 0 {\n\t\t\tc.state.grants++\n\t\t}"},
		},
		{
			Name: "half-committed", Defect: "one transaction in five changes its first participant only",
			File: "fsm/txn.go", Change: []string{
				"case txn.Publish:\n", "case txn.Publish:\n\t\tif t.Participant(action.Agent) == 1 && c.state.revision%5 == 0 {\n\t\t\treturn c.discard(t, action.Agent)\n\t\t}\n",
			},
		},
		{
			Name: "event-left-out", Defect: "a watch leaves an event out now and then",
			File: "cluster/watch/subscription.go", Change: []string{"\t\tif s.matches(e) {\n\t\t\tevents = append(events, *e)", "\t\tif s.matches(e) && e.Number%20 != 0 {\n\t\t\tevents = append(events, *e)"},
		},
		{
			Name: "resume-off-by-one", Defect: "a watch goes on one revision too late",
			File: "cluster/watch/subscription.go", Change: []string{"i := r.after(from)\n", "i := r.after(from + 1)\n"},
		},
		{
			Name: "failure-retried", Defect: "a node goes on after an error of its log",
			File: "cluster/consensus/latch.go",
			Change: []string{
				"return l.fail(halt.Wrap(reason, where, fmt.Errorf(\"%s: %w\", what, err)))", "return halt.Wrap(reason, where, fmt.Errorf(\"%s: %w\", what, err))",
			},
			Faults: []string{"sync-error-one", "sync-errors-leader"},
		},
		{
			Name: "sync-dropped", Defect: "the log is written and never synced",
			File: "cluster/consensus/logwal.go", Change: []string{
				"func (v *trackingVFS) closeAll() error {", "type unsynced struct{ types.WritableFile }\n\nfunc (unsynced) Sync() error { return nil }\n\nfunc (v *trackingVFS) closeAll() error {",
				"\tf, err := v.VFS.Create(dir, name, size)\n\tif err == nil {\n", "\tf, err := v.VFS.Create(dir, name, size)\n\tif err == nil {\n\t\tf = unsynced{f}\n",
				"\tf, err := v.VFS.OpenWriter(dir, name)\n\tif err == nil {\n", "\tf, err := v.VFS.OpenWriter(dir, name)\n\tif err == nil {\n\t\tf = unsynced{f}\n",
			},
			Faults: []string{"power-all", "power-one"},
		},
		{
			Name: "wall-clock", Defect: "the cluster's clock is the leader's",
			File: "cluster/propose/clock.go", Change: []string{"c.now, c.at = next, at\n", "c.now, c.at = unixNano(c.cfg.Wall()), at+0*time.Duration(next)\n"},
			Faults: []string{"clock-leader", "clock-one"},
		},
		{
			Name: "replica-differs", Defect: "what a replica makes of an entry depends on its own clock",
			File: "fsm/save.go", Change: []string{
				"import (", "import (\n\t\"time\"\n",
				"a.versions++\n\ta.stored", "if time.Now().UnixNano()>>10%500 == 0 {\n\t\trec.sha[0]++\n\t}\n\ta.versions++\n\ta.stored",
			},
		},
	}
}
