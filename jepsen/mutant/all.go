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
			Name: "fence-does-not-rise", Defect: "one grant of a lock in five has the fence of the one before",
			File:   "fsm/acquire.go",
			Change: []string{"c.state.grants++", "if c.state.revision%5 != 0 || c.state.grants == 0 {\n\t\t\tc.state.grants++\n\t\t}"},
		},
		{
			Name: "handover-forgotten", Defect: "a claim that is handed over goes to whoever waits first",
			File: "fsm/release.go", Change: []string{"r.holders[0].successor = successor", "_ = successor"},
		},
		{
			Name: "open-though-claimed", Defect: "an agent that was unclaimed stays open when it is claimed again",
			File: "fsm/acquire.go", Change: []string{"a.fenced, a.changed = true, true", "a.fenced, a.changed = a.fenced || a.epoch == 1, true"},
		},
		{
			Name: "place-too-many", Defect: "a semaphore has one place more than it is to have",
			File: "fsm/resource.go", Change: []string{"uint64(len(r.holders)) < r.capacity", "uint64(len(r.holders)) < r.capacity+min(r.capacity-1, 1)"},
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
		{
			Name: "message-kept", Defect: "one message in twenty stays in the inbox when it is consumed",
			File: "fsm/inbox.go", Change: []string{"\t\tbox.count, box.bytes = box.count-1, box.bytes-m.size()\n", "\t\tif n%20 == 0 {\n\t\t\tcontinue\n\t\t}\n\t\tbox.count, box.bytes = box.count-1, box.bytes-m.size()\n"},
		},
		{
			Name: "message-lost", Defect: "one message in fifty is numbered and not stored",
			File: "fsm/inbox.go", Change: []string{"\tbox.count++\n\tbox.bytes += m.size()\n", "\tif box.last%50 == 0 {\n\t\tc.putInbox(id, box)\n\t\treturn box.last, nil\n\t}\n\tbox.count++\n\tbox.bytes += m.size()\n"},
		},
		{
			Name: "emitted-twice", Defect: "one save in twenty sends its messages twice",
			File: "fsm/message.go", Change: []string{"for _, e := range s.Emit {\n\t\tm :=", "for _, e := range append(s.Emit, s.Emit[:len(s.Emit)*int(1-min(rec.number%20, 1))]...) {\n\t\tm :="},
		},
		{
			Name: "message-repeat-forgotten", Defect: "a message that a sender sends again is sent again",
			File: "fsm/message.go", Change: []string{
				"case s.ID.Sequence == session.sequence && digest == session.digest:\n\t\treturn c.sentBefore(s, session), nil", "case s.ID.Sequence == session.sequence && digest == session.digest && session.sequence == 0:\n\t\treturn c.sentBefore(s, session), nil",
				"case s.ID.Sequence == session.sequence:", "case s.ID.Sequence == session.sequence && digest != session.digest:",
			},
			Faults: []string{"kill-leader", "pause-leader", "unplug-leader"},
		},
		{
			Name: "effect-run-again", Defect: "an effect that is done is run again with the policy retry",
			File: "fsm/effect_apply.go", Change: []string{
				"e.state == hawser.EffectOpen && b.Policy == hawser.OnUnknownRetry:", "e.state != hawser.EffectFailed && b.Policy == hawser.OnUnknownRetry:",
				"next.reason, next.resolved = \"\", false\n", "next.reason, next.resolved = \"\", false\n\tnext.version, next.finished, next.digest = 0, 0, hawser.Hash{}\n",
			},
		},
		{
			Name: "effect-not-asked", Defect: "an effect of which nobody knows whether it has run is run again with every policy",
			File: "fsm/effect_apply.go", Change: []string{"e.state == hawser.EffectOpen && b.Policy == hawser.OnUnknownRetry:", "e.state == hawser.EffectOpen:"},
		},
		{
			Name: "effect-end-lost", Defect: "a save makes its version and not the end of the effect",
			File: "fsm/effect_apply.go", Change: []string{"func (f *effectsOf) saved(ends []EffectEnd, version uint64) error {\n", "func (f *effectsOf) saved(ends []EffectEnd, version uint64) error {\n\tif version%10 == 0 {\n\t\tends = nil\n\t}\n"},
		},
		{
			Name: "fork-forgets-effects", Defect: "a fork does not know what its source has begun",
			File: "fsm/effect.go", Change: []string{"if err != nil || parent == 0 {\n\t\treturn err\n\t}\n\tp, err :=", "if err != nil || parent >= 0 {\n\t\treturn err\n\t}\n\tp, err :="},
		},
		{
			Name: "rollback-not-told", Defect: "a restore after a rollback does not tell of the effects after what it went back to",
			File: "fsm/effect.go", Change: []string{"if a.journal == 0 {\n\t\treturn nil\n\t}\n\tj, err := readJournal(c, a.journal)", "if a.journal >= 0 {\n\t\treturn nil\n\t}\n\tj, err := readJournal(c, a.journal)"},
		},
		{
			Name: "cut-of-now", Defect: "a cut has of its second agent the version before the one that is current",
			File: "fsm/cut_make.go", Change: []string{
				"rec, err := c.record(a.id, a.live)", "rec, err := c.record(a.id, max(1, a.live-uint64(min(i, 1))))",
				"cutAgent{a.id.Name, a.live}", "cutAgent{a.id.Name, heads[i].number}",
			},
		},
		{
			Name: "rollback-to-newest", Defect: "a rollback to a cut gives its second agent the newest version and not the one in the cut",
			File: "fsm/cut_rollback.go", Change: []string{"\t\tif s.problem, err = c.cutProblem(s.a, s.number); err != nil {", "\t\tif i == 1 {\n\t\t\tdefer func() { s.number = s.a.live }()\n\t\t}\n\t\tif s.problem, err = c.cutProblem(s.a, s.number); err != nil {"},
		},
		{
			Name: "rollback-repeat-forgotten", Defect: "a rollback to a cut that is asked for again is done again",
			File: "fsm/cut_rollback.go", Change: []string{"if k.rollbacks[i].nonce == q.Request.Nonce {", "if k.rollbacks[i].nonce == q.Request.Nonce && i < 0 {"},
			Faults: []string{"kill-leader", "pause-leader", "unplug-leader"}, Workloads: []string{"cuts"},
		},
		{
			Name: "archive-behind", Defect: "an archive leaves the newest version of an agent out now and then",
			File: "fsm/export.go", Change: []string{
				"func (x *exporter) agent(id hawser.AgentID, a agentRecord) error {\n", "func (x *exporter) agent(id hawser.AgentID, a agentRecord) error {\n\tif a.live > 1 && a.versions > 1 && a.head%3 == 0 {\n\t\ta.head, a.live, a.versions = a.head-1, a.live-1, a.versions-1\n\t}\n",
			},
		},
		{
			Name: "version-denied", Defect: "a version that is there is not found now and then",
			File:   "cluster/service/restore.go",
			Change: []string{"\tversion, path, err := view.Path(agent, r.GetVersion())\n", "\tversion, path, err := view.Path(agent, r.GetVersion())\n\tif r.GetVersion() != 0 && view.Info().Revision%4 == 0 {\n\t\terr = hawser.ErrNotFound\n\t}\n"},
		},
		{
			Name: "save-denied", Defect: "a save is told now and then that there is no such agent",
			File:   "cluster/service/write.go",
			Change: []string{"func (s *Service) Save(ctx context.Context, r *hawserv1.SaveRequest) (*hawserv1.SaveResponse, error) {\n", "func (s *Service) Save(ctx context.Context, r *hawserv1.SaveRequest) (*hawserv1.SaveResponse, error) {\n\tif n := r.GetRequest().GetNonce(); len(n) > 0 && n[0]%5 == 0 && len(r.GetAgent().GetName()) > 9 && r.GetAgent().GetName()[:9] == \"register/\" {\n\t\treturn nil, hawser.ErrNotFound\n\t}\n"},
		},
		{
			Name: "archive-stale", Defect: "a node archives what it has, without asking the others whether that is up to date",
			File: "cluster/service/archive.go", Change: []string{"s.view(ctx, r.GetRead())", "s.view(ctx, &hawserv1.ReadOptions{Consistency: hawserv1.Consistency_CONSISTENCY_STALE})"},
			Faults: []string{"pause-one", "cut-one", "slow-links"},
		},
	}
}
