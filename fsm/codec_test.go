// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/txn"
)

var (
	five = uint64(5)

	sampleSave = &Save{
		Agent: hawser.AgentID{Namespace: "default", Name: "crew/a"}, Expect: &five, Instance: "i-1",
		Request: Request{Nonce: hawser.Nonce{1, 2}, Generation: 77, Seen: 5, Attempt: 1},
		Labels:  map[string]string{"a": "1", "b": ""}, ContentType: "application/json", Schema: "v1",
		SHA256: hawser.Hash{9}, Content: record.EncodeKeyframe([]byte("a state")), DerivedFrom: []hawser.VersionRef{sampleRef},
		Consume: []uint64{1, 300}, Emit: []Emission{{Agent: sampleRef.Agent, Labels: map[string]string{"k": "v"}, Payload: []byte("m")}, {Agent: sampleRef.Agent, Payload: []byte{}}},
		Effects: []EffectEnd{{ID: "pay", Result: []byte("paid")}, {ID: "mail", Failed: true, Reason: "no such box", Result: []byte{}}},
	}
	sampleJournal = &journalRecord{
		owned: true, children: 300, parent: 2, position: 301, depth: 3, from: 302, inherited: 303, inheritedBytes: 1 << 20,
		next: 304, shared: 300, count: 305, open: 4, bytes: 1 << 19, last: 306, rewinds: []rewind{{200, 300, 2}, {400, 400, 300}},
	}
	sampleEffect = &effectRecord{
		sequence: 300, state: hawser.EffectDone, policy: hawser.OnUnknownAsk, nonce: hawser.Nonce{3}, key: "k", description: "d", input: hawser.Hash{4},
		attempts: 2, instance: "i", epoch: 3, head: 301, begun: 1e18, version: 302, since: 302, finished: 1e18 + 1, reason: "r", resolved: true,
		digest: hawser.Hash{5}, size: 303, revision: 304,
	}
	sampleRef   = hawser.VersionRef{Agent: hawser.AgentID{Namespace: "other", Name: "b/c"}, Number: 300}
	sampleDelta = &Save{
		Agent: sampleSave.Agent, Size: 1000, Base: &Base{Number: 5, SHA256: hawser.Hash{8}},
		Content: record.Content{Kind: record.Delta, Encoding: record.Raw, Size: 1 << 20, CRC32C: 5, Parts: 8, Upload: [16]byte{6}},
	}
	sampleCommands = []Command{
		&LeaderStart{Term: 3, Node: "n1-aaaaaaaa", ClusterID: [16]byte{7}, Generation: 77},
		&RaiseLevel{Level: 2},
		sampleSave,
		&Delete{Agent: sampleSave.Agent, Request: sampleSave.Request},
		&Reclaim{Agent: sampleSave.Agent, Limit: 9},
		sampleDelta,
		&Rollback{Agent: sampleSave.Agent, Request: sampleSave.Request, Expect: &five, Number: 3, Instance: "i"},
		&Fork{Agent: sampleSave.Agent, Request: sampleSave.Request, Source: sampleRef.Agent, Number: 3, Instance: "i"},
		&Pin{Agent: sampleSave.Agent, Number: 3, Pinned: true},
		&Prune{Agent: sampleSave.Agent, Ranges: []NumberRange{{1, 3}, {300, 400}}, Stamp: 7},
		&Replace{Segment: 300, Position: 4, Stamp: 9, Content: record.EncodeKeyframe([]byte("a state"))},
		&Part{Upload: [16]byte{6}, Index: 300, CRC32C: 1 << 31, Data: []byte("part")},
		&ExpireUploads{Uploads: [][16]byte{{6}, {7}}, Before: -5},
		&MarkBad{Agent: sampleSave.Agent, Number: 5, SHA256: hawser.Hash{8}},
		&SetRetention{Namespace: "default", Prefix: "crew", Rules: &hawser.Retention{KeepLast: 300, KeepWithin: 1 << 60, KeepHourly: 1, KeepDaily: 2, KeepWeekly: 3}},
		&SetRetention{Namespace: "default"},
		&PruneTombs{Agents: []hawser.AgentID{sampleSave.Agent, sampleRef.Agent}, Before: 1e18},
		&ImportStart{Archive: hawser.Hash{5}, Generation: 300, Revision: 1 << 40},
		&ImportItems{Archive: hawser.Hash{5}, Sequence: 300, Items: [][]byte{{1, 2}, {}, {3}}},
		&ImportEnd{Archive: hawser.Hash{5}, Agents: 300, Versions: 4},
		&ImportAbort{Archive: hawser.Hash{5}},
		&TrimEvents{Before: 1 << 40},
		&OpenLease{Lease: sampleLease, Instance: "i", TTL: time.Second, Generation: 300},
		&EndLease{Lease: sampleLease, Term: 300, Rankings: []Ranking{{Resource: sampleLock, Candidates: []hawser.LeaseID{{1}, {2}}}}, Generation: 301},
		&Acquire{Resource: sampleLock, Lease: sampleLease, Priority: -5, Capacity: 300, NoWait: true, Generation: 301},
		&Release{Resource: sampleLock, Lease: sampleLease, Token: 300, Ranking: []hawser.LeaseID{{1}}, Generation: 301},
		&EndClaim{Agent: sampleRef.Agent, Epoch: 300, To: "i", Unclaim: true, Reason: "r", Generation: 301},
		&Succeed{Resource: sampleLock, Token: 300, Term: 301, Ranking: []hawser.LeaseID{{1}}},
		&BeginTxn{ID: sampleTxnID, Participants: []TxnTask{{sampleSave.Agent, []byte("do")}, {sampleRef.Agent, []byte("it")}}, Manual: true, Deadline: 1e18, Generation: 300},
		&VoteTxn{ID: sampleTxnID, Agent: sampleSave.Agent, Yes: true, Fence: 1 << 40, Quiet: true, State: sampleSave, Generation: 300},
		&VoteTxn{ID: sampleTxnID, Agent: sampleSave.Agent, Reason: "no wish"},
		&DecideTxn{ID: sampleTxnID, Commit: true, Reason: "r", Generation: 300},
		&AcknowledgeTxn{ID: sampleTxnID, Agent: sampleSave.Agent, Committed: true, Fence: 1 << 40, Generation: 300},
		&ResolveTxn{ID: sampleTxnID, Agent: sampleSave.Agent, Reason: "it is gone", Generation: 300},
		&ForgetTxn{ID: sampleTxnID, Generation: 300},
		&BeginEffect{ID: "pay", Agent: sampleSave.Agent, Nonce: hawser.Nonce{3}, Policy: hawser.OnUnknownSkip, Description: "d", Input: hawser.Hash{4}, Instance: "i", Fence: 1 << 40, Generation: 300},
		&FinishEffect{Agent: sampleSave.Agent, End: EffectEnd{ID: "pay", Result: []byte("paid")}, Fence: 1 << 40, Generation: 300},
		&ResolveEffect{Agent: sampleSave.Agent, ID: "pay", State: hawser.EffectDone, Result: []byte("paid"), Reason: "r", Force: true, Generation: 300},
		&ForgetEffects{Agent: sampleSave.Agent, Version: 300, Fence: 1 << 40, Generation: 300},
		&ClaimFree{Lease: sampleLease, Namespace: "n", Names: []string{"a", "crew/b"}, Generation: 300},
		&Audit{Mark: Mark{Index: 300, Digest: 1 << 63}},
		&SetHealth{Term: 300, Changes: []HealthChange{{sampleSave.Agent, 1 << 40, hawser.HealthUnhealthy, "r"}, {Agent: sampleRef.Agent, Token: 1}}},
		&Note{Agent: sampleSave.Agent, Kind: hawser.EventRuntimeStateBad, Number: 300, Instance: "i", Reason: "r", Generation: 301},
		&SweepTxns{IDs: []hawser.TxnID{sampleTxnID, {Namespace: "n", ID: "u"}}},
		&OpenSession{Namespace: "default", Session: hawser.SessionID{1}, Instance: "i", Deadline: 1e18, Generation: 300},
		&CloseSession{Namespace: "default", Session: hawser.SessionID{1}, Generation: 300},
		&ExpireSessions{Sessions: []SessionRef{{Namespace: "default", Session: hawser.SessionID{1}}, {Namespace: "other", Session: hawser.SessionID{2}}}},
		&MakeCut{Name: sampleRef.Agent, Agents: []string{"a", "b/c"}, Label: "l", Generation: 301},
		&MakeCut{Name: sampleRef.Agent, ByPrefix: true, Prefix: "crew/"},
		&RollbackCut{Cut: sampleRef.Agent, Revision: 300, Request: sampleSave.Request, LeaveOut: true, Instance: "i", Reason: "r"},
		&DeleteCut{Cut: sampleRef.Agent, Revision: 300, Generation: 301},
		&SaveAll{Saves: []*Save{sampleSave, sampleDelta}},
		&SendMessage{Agent: sampleRef.Agent, ID: hawser.MessageID{Session: hawser.SessionID{1}, Sequence: 300}, Labels: map[string]string{"k": "v"}, Payload: []byte("m"), Generation: 300},
	}
	sampleTxn = &txnRecord{
		Txn: txn.Txn{
			ID: sampleTxnID, Manual: true, Begun: 1e18, Deadline: 1e18 + 1e10, State: hawser.TxnCommitted, Decided: 1e18 + 1,
			Participants: []txn.Participant{
				{Agent: sampleSave.Agent, Vote: hawser.VoteYes, Epoch: 300, Digest: hawser.Hash{7}, Reason: "it is gone", Acknowledged: true, Resolved: true},
				{Agent: hawser.AgentID{Namespace: "default", Name: "b"}, Vote: hawser.VoteYes, Quiet: true, Acknowledged: true},
			},
		},
		digest: hawser.Hash{8}, begun: 301, decided: 302, versions: []uint64{303, 0},
	}
	sampleTally    = tallyRecord{open: 300, staged: 1 << 30}
	sampleTxnID    = hawser.TxnID{Namespace: "default", ID: "t-1"}
	sampleLease    = hawser.LeaseID{1, 2, 3}
	sampleLock     = hawser.Resource{Kind: hawser.ResourceLock, Name: sampleRef.Agent}
	sampleResource = resourceRecord{capacity: 300, waiting: 301, sequence: 302, front: turn{-1, 303}, holders: []holder{
		{lease: sampleLease, instance: "i", ttl: 1e9, number: 304, since: 1e18, ended: "e", successor: hawser.LeaseID{9}}, {},
	}}
	sampleLeaseRecord = leaseRecord{instance: "i", ttl: 1e9, opened: 1e18, held: 300, ended: "e"}
	sampleChain       = &chainRecord{
		number: 6, kind: hawser.RequestSave, state: hawser.VersionLive, nonce: hawser.Nonce{1}, expect: &five, sha: hawser.Hash{2},
		size: 10, stored: 9, parent: 5, epoch: 1, created: 1e18, revision: 40, segment: 12, position: 3,
		instance: "i", contentType: "c", schema: "s", labels: map[string]string{"k": "v"},
		pinned: true, cuts: 3, origin: sampleRef, derived: []hawser.VersionRef{sampleRef, sampleRef}, txn: "t-1",
		moved: []byte("0123456789abcdef"),
	}
	sampleImport = &importRecord{
		archive: hawser.Hash{5}, generation: 300, revision: 301, items: 302, failure: "no", end: 303, all: 304, agents: 305, versions: 306, loose: 307,
		newest: 1e18, stage: importAgents, last: "key", agent: sampleRef.Agent, want: 308, seen: 309, late: true,
		segment: 310, parent: place{311, 312}, first: 313, shared: true, empty: true,
		content: record.Content{Kind: record.Keyframe, Encoding: record.Zstd, Size: 314, CRC32C: 315, Parts: 316}, got: 317, sum: 318,
	}
	sampleEvents = []hawser.Event{
		{Kind: hawser.EventVersionSaved, Name: sampleRef.Agent, Number: 300, Size: 1 << 40, Token: 1 << 60, Instance: "i"},
		{Kind: hawser.EventClaimEnded, Name: sampleRef.Agent, Last: 4, Reason: "why", Lease: hawser.LeaseID{4}},
		{Kind: hawser.EventEffectDone, Name: sampleRef.Agent, Number: 5, Effect: "pay"},
		{Kind: hawser.EventTxnAborted, Name: sampleRef.Agent, Reason: "why", Txn: "t-1"},
	}
	sampleSegment = &segmentRecord{
		shared: true, parent: place{segment: 300, position: 7}, base: record.Chain{Keyframe: 1 << 40, Deltas: 7, DeltaBytes: 300},
		first: 1000, stamp: 5, entries: []segmentEntry{{refs: 0, bytes: 300}, {refs: 300, bytes: 1 << 30, upload: &[16]byte{5}}},
	}
)

func encodeBatch(commands ...Command) []byte {
	var encoded [][]byte
	for _, c := range commands {
		encoded = append(encoded, AppendCommand(nil, c))
	}
	return AppendBatch(nil, BatchID{1, 2, 3}, -5, encoded)
}

// Every command comes out of a batch as it went in.
func TestBatch_RoundTrip(t *testing.T) {
	b, err := DecodeBatch(encodeBatch(sampleCommands...))
	if err != nil {
		t.Fatal(err)
	}
	want := Batch{ID: BatchID{1, 2, 3}, Time: -5, Commands: sampleCommands}
	if !reflect.DeepEqual(b, want) {
		t.Fatalf("got %+v", b)
	}
	kinds := map[commandKind]bool{}
	for _, c := range sampleCommands {
		kinds[c.kind()] = true
	}
	if len(kinds) != len(commandTypes)-1 {
		t.Fatal("a kind of command is missing in the sample")
	}
}

// State and log entries of builds that were never released say so.
func TestFormats_OfEarlierBuilds(t *testing.T) {
	_, stateErr := parseState([]byte{1, 1, 0}, MaxLevel)
	_, eventless := parseState([]byte{2, 1, 0}, MaxLevel)
	_, txnless := parseState([]byte{3, 1, 0}, MaxLevel)
	_, batchErr := DecodeBatch([]byte{1, 0})
	_, lastBatchErr := DecodeBatch([]byte{3, 0})
	for _, err := range []error{stateErr, eventless, txnless, batchErr, lastBatchErr} {
		h, ok := errors.AsType[*halt.Error](err)
		if !ok || h.Reason != halt.Level || !strings.Contains(err.Error(), "earlier development build") {
			t.Error(err)
		}
	}
}

// A batch cut anywhere, or with a byte more, is refused.
func TestDecodeBatch_RefusesCutAndLonger(t *testing.T) {
	data := encodeBatch(sampleCommands...)
	for n := range data {
		if b, err := DecodeBatch(data[:n]); err == nil {
			t.Fatalf("cut to %d of %d bytes: %+v", n, len(data), b)
		}
	}
	if _, err := DecodeBatch(append(data, 0)); err == nil {
		t.Fatal("a byte more was taken")
	}
}

// FuzzDecodeBatch: whatever the bytes, no panic; what decodes encodes to the
// same bytes, so that a command has one form.
func FuzzDecodeBatch(f *testing.F) {
	f.Add(encodeBatch(sampleCommands...))
	f.Add(encodeBatch())
	f.Add([]byte{batchFormat})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := DecodeBatch(data)
		if err != nil {
			return
		}
		var encoded [][]byte
		for _, c := range b.Commands {
			encoded = append(encoded, AppendCommand(nil, c))
		}
		if got := AppendBatch(nil, b.ID, b.Time, encoded); !bytes.Equal(got, data) {
			t.Fatalf("decoded from %x\nencodes to %x", data, got)
		}
	})
}

// FuzzStored: the same for every stored value.
func FuzzStored(f *testing.F) {
	a := agentRecord{head: 9, live: 8, floor: 7, cleared: 3, oldest: 8, stubs: 8, blind: 3, versions: 1, stored: 20, pins: 1, created: 1e18, deleted: 1e17, epoch: 2, queued: 300, turn: 301, open: 302, locked: true}
	s := state{level: 1, cluster: [16]byte{7}, generation: 77, revision: 5, time: 1e18, agents: 4, leaderTerm: 3, leaderNode: "n", segments: 11, retention: 300, staged: 1 << 20, trimmed: 301, events: 302}
	u := uploadRecord{parts: 3, end: 9, short: 9, bytes: 1 << 18, touched: 1e18}
	m := Meta{Index: 9, Term: 2}
	if _, err := parseAgent(a.append(nil)); err != nil {
		f.Fatal("the sample of an agent is none")
	}
	if _, err := parseTxn(sampleTxn.append(nil)); err != nil {
		f.Fatal("the sample of a transaction is none: ", err)
	}
	f.Add(a.append(nil))
	f.Add(sampleChain.append(nil))
	f.Add(s.append(nil))
	f.Add(appendMeta(nil, m, Marks{Applied: Mark{9, 1 << 60}, Audited: Mark{7, 3}}))
	f.Add(u.append(nil))
	f.Add(floorRecord{number: 300, epoch: 2}.encode())
	f.Add(sampleImport.encode())
	f.Add(sampleSegment.append(nil))
	f.Add(sampleResource.append(nil))
	f.Add(sampleLeaseRecord.append(nil))
	f.Add(hold{queued: true, turn: turn{-7, 300}}.encode())
	f.Add(hold{}.encode())
	f.Add(appendEvents(nil, 1e18, sampleEvents))
	f.Add(sampleJournal.append(nil))
	f.Add(sampleEffect.append(nil))
	f.Add(sampleTxn.append(nil))
	f.Add((&stagedVote{txn: "t-1", rec: sampleChain}).encode())
	f.Add((&stagedVote{txn: "t-1"}).encode())
	f.Add(sampleTally.encode())
	f.Add(dueKey(1e18, sampleTxnID))
	f.Add(derivedKey(nil, sampleRef, hawser.VersionRef{Agent: sampleSave.Agent, Number: 1 << 40}))
	f.Fuzz(func(t *testing.T, data []byte) {
		check := func(what string, got []byte) {
			if !bytes.Equal(got, data) {
				t.Fatalf("%s decoded from %x\nencodes to %x", what, data, got)
			}
		}
		if a, err := parseAgent(data); err == nil {
			check("agent", a.append(nil))
		}
		if c, err := parseChain(data); err == nil {
			check("record", c.append(nil))
		}
		if s, err := parseState(data, 1); err == nil {
			check("state", s.append(nil))
		}
		if m, marks, err := parseMeta(data, nil); err == nil {
			check("meta", appendMeta(nil, m, marks))
		}
		if crc, part, err := parsePart(data); err == nil {
			check("part", append(binary.BigEndian.AppendUint32([]byte{storedFormat}, crc), part...))
		}
		if u, err := parseUpload(data); err == nil {
			check("upload", u.append(nil))
		}
		if i, err := parseImport(data); err == nil {
			check("import", i.encode())
		}
		if floor, err := parseFloor(data); err == nil && data != nil {
			check("floor", floor.encode())
		}
		if v, there, ok := parseCandidate(data); ok {
			c, err := parseChain(data)
			if err == nil && (v != candidate{c.number, c.created, c.size, c.stored, c.place(), c.holds() != 0, c.state == hawser.VersionBad} || there == (c.state == hawser.VersionGone)) {
				t.Fatalf("%+v is seen as %+v", c, v)
			}
		}
		if events, err := parseEvents(nil, 5, data); err == nil {
			check("events", appendEvents(nil, events[0].Time.UnixNano(), events))
		}
		if r, err := parseResource(data); err == nil {
			check("resource", r.append(nil))
		}
		if l, err := parseLease(data); err == nil {
			check("lease", l.append(nil))
		}
		if x, err := parseTxn(data); err == nil {
			check("transaction", x.append(nil))
		}
		if v, err := parseStagedVote(data); err == nil {
			check("staged vote", v.encode())
		}
		if n, err := parseTally(data); err == nil && data != nil {
			check("counters", n.encode())
		}
		if id, ok := splitDueKey(data); ok && validTxn(id) && data[0] == prefixDue {
			check("time of a transaction", dueKey(int64(binary.BigEndian.Uint64(data[1:])), id))
		}
		if h, err := parseHold(data); err == nil {
			check("hold", h.encode())
		}
		if k, err := parseCut(data); err == nil {
			check("cut", k.encode())
		}
		if j, err := parseJournal(data); err == nil {
			check("journal", j.append(nil))
		}
		if e, err := parseEffect(data); err == nil {
			check("effect", e.append(nil))
		}
		if s, err := parseSegment(data); err == nil {
			check("segment", s.append(nil))
		}
		if source, version, ok := splitDerivedKey(data); ok && validAgent(source.Agent) && validAgent(version.Agent) {
			check("key of a derived version", derivedKey(nil, source, version))
		}
		if id, ok := splitAgentKey(data); ok && validAgent(id) {
			check("key", agentKey(nil, data[0], id))
		}
	})
}

// Keys of an agent's numbers sort newest first and never mix with those of
// another agent, whose name may start the same.
func TestKeys_Order(t *testing.T) {
	short, long := hawser.AgentID{Namespace: "n", Name: "a"}, hawser.AgentID{Namespace: "n", Name: "a/b"}
	ordered := [][]byte{
		chainKey(nil, short, 1<<40), chainKey(nil, short, 300), chainKey(nil, short, 2), chainKey(nil, short, 1), chainKey(nil, short, 0),
		chainKey(nil, long, 9), chainKey(nil, long, 1),
	}
	for i := range ordered[1:] {
		if bytes.Compare(ordered[i], ordered[i+1]) >= 0 {
			t.Errorf("key %d is not below key %d", i, i+1)
		}
	}
}
