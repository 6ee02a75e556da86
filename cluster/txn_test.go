// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/hawsertest"
)

// attend has a participant take part for an agent that it claims, until the test
// ends.
func attend(t *testing.T, c *client.Client, name string, p client.Participant) *client.Claim {
	t.Helper()
	own, err := c.Agent(name).Claim(t.Context(), client.TTL(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		if err := own.Participate(ctx, p); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	})
	t.Cleanup(func() {
		cancel()
		group.Wait()
	})
	return own
}

func tasks(names ...string) (tasks []client.TxnTask) {
	for _, name := range names {
		tasks = append(tasks, client.TxnTask{Agent: name, Payload: []byte("to " + name)})
	}
	return tasks
}

// Claim: what all vote for becomes a version of each at one revision, and each
// is told; what one votes against leaves nothing, and all who promised something
// undo it. Large states and small ones, with and without a state before.
func TestTransact_CommitsOrAborts(t *testing.T) {
	t.Parallel()
	c := hawsertest.StartCluster(t, 3).Client()
	large := bytes.Repeat([]byte("large state "), 100_000)
	var mu sync.Mutex
	told := map[string]string{}
	note := func(id hawser.TxnID, name, what string) error {
		mu.Lock()
		defer mu.Unlock()
		told[id.ID+" "+name] += what
		return nil
	}
	participant := func(name string, state []byte) client.Participant {
		return client.Participant{
			Prepare: func(_ context.Context, req client.TxnRequest) ([]byte, error) {
				if string(req.Payload) != "to "+name {
					t.Errorf("%s was told %q", name, req.Payload)
				}
				if strings.HasPrefix(req.ID.ID, "no-") && name == "b" {
					return nil, client.VoteNo("no funds")
				}
				return fmt.Appendf(nil, "%s%s", state, req.ID.ID), nil
			},
			Commit: func(_ context.Context, id hawser.TxnID, version uint64) error {
				return note(id, name, fmt.Sprintf("committed %d;", version))
			},
			Rollback: func(_ context.Context, id hawser.TxnID) error { return note(id, name, "rolled back;") },
		}
	}
	if _, err := c.Agent("a").Save(t.Context(), large); err != nil {
		t.Fatal(err)
	}
	owns := map[string]*client.Claim{
		"a": attend(t, c, "a", participant("a", large)),
		"b": attend(t, c, "b", participant("b", nil)),
	}
	for i := range 3 {
		id := fmt.Sprint("yes-", i)
		info, err := c.Transact(t.Context(), client.Txn{ID: id, Participants: tasks("a", "b")})
		if err != nil {
			t.Fatal(err)
		}
		var revisions []hawser.Revision
		for i, name := range []string{"a", "b"} {
			cp, err := c.Agent(name).Restore(t.Context())
			if err != nil || !strings.HasSuffix(string(cp.State), id) || cp.Version.Txn != id || cp.Version.Number != info.Participants[i].Version {
				t.Fatalf("%s: %+v %v", name, cp.Version, err)
			}
			revisions = append(revisions, cp.Version.Revision)
			if cp.Version.Epoch != info.Participants[i].Epoch || cp.Version.Epoch == 0 {
				t.Errorf("%s: epoch %d", name, cp.Version.Epoch)
			}
		}
		if revisions[0] != revisions[1] || revisions[0] != info.Revision {
			t.Errorf("revisions %v, decided at %d", revisions, info.Revision)
		}
		if i == 1 { // the handles go on from what the transaction made
			for name, own := range owns {
				waitFor(t, name+" goes on", func() bool {
					return own.Agent().Head() == info.Participants[map[string]int{"a": 0, "b": 1}[name]].Version
				})
				if _, err := own.Save(t.Context(), []byte("between")); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	_, err := c.Transact(t.Context(), client.Txn{ID: "no-1", Participants: tasks("a", "b")})
	var aborted *hawser.TxnAbortedError
	if !errors.As(err, &aborted) || aborted.Txn.Participants[1].Vote != hawser.VoteNo || aborted.Txn.Participants[1].Reason != "no funds" {
		t.Fatalf("%v", err)
	}
	waitFor(t, "all are told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return told["yes-2 a"] == "committed 5;" && told["yes-2 b"] == "committed 4;" && told["no-1 b"] == "" && (told["no-1 a"] == "rolled back;")
	})
	if _, err := owns["a"].Save(t.Context(), []byte("free again")); err != nil {
		t.Error(err)
	}
	waitFor(t, "done", func() bool {
		info, err := c.Txn(t.Context(), "yes-2")
		return err == nil && info.Done
	})
}

// Claim: two transactions over the same agents in opposite order are both
// decided within a second when their participants answer.
func TestTransact_CrossingDecideSoon(t *testing.T) {
	t.Parallel()
	c := hawsertest.StartCluster(t, 3).Client()
	for _, name := range []string{"a", "b"} {
		attend(t, c, name, client.Participant{Prepare: func(_ context.Context, req client.TxnRequest) ([]byte, error) { return []byte(req.ID.ID), nil }})
	}
	var group sync.WaitGroup
	begin := time.Now()
	for range 20 {
		for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
			group.Go(func() {
				if _, err := c.Transact(t.Context(), client.Txn{Participants: tasks(order...)}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	group.Wait()
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("40 transactions took %v", took)
	} else {
		t.Logf("40 crossing transactions took %v", took)
	}
}

// Claim: a transaction that a participant does not answer is aborted at its
// deadline, and told so within two seconds, also over the loss of the leader; the
// agent that had voted is free then.
func TestTransact_DeadlineFreesWhoVoted(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 3)
	c := cluster.Client()
	if _, err := c.Agent("silent").Save(t.Context(), []byte("1")); err != nil {
		t.Fatal(err)
	}
	own := attend(t, c, "a", client.Participant{Prepare: func(context.Context, client.TxnRequest) ([]byte, error) { return []byte("x"), nil }})
	begin := time.Now()
	time.AfterFunc(time.Second, func() { cluster.KillLeader() })
	_, err := c.Transact(t.Context(), client.Txn{ID: "t", Participants: tasks("a", "silent"), Timeout: 3 * time.Second})
	if took := time.Since(begin); !errors.Is(err, hawser.ErrTxnAborted) || took < 2*time.Second || took > 8*time.Second {
		t.Fatalf("%v after %v", err, took)
	}
	if _, err := own.Save(t.Context(), []byte("free again")); err != nil {
		t.Error(err)
	}
}

// Claim: from the yes to the decision the agent takes no other write; an
// initiator that decides itself commits or aborts.
func TestTransact_ManualLocksUntilDecided(t *testing.T) {
	t.Parallel()
	c := hawsertest.StartCluster(t, 1).Client()
	own := attend(t, c, "a", client.Participant{Prepare: func(context.Context, client.TxnRequest) ([]byte, error) { return []byte("next"), nil }})
	for _, decision := range []error{nil, errors.New("changed my mind")} {
		before := own.Agent().Head()
		_, err := c.Transact(t.Context(), client.Txn{Participants: tasks("a"), Decide: func(ctx context.Context, info hawser.TxnInfo) error {
			_, err := own.Save(ctx, []byte("meanwhile"))
			var locked *hawser.TxnLockedError
			if !errors.As(err, &locked) || locked.Txn != info.ID {
				t.Errorf("a save before the decision: %v", err)
			}
			return decision
		}})
		if decision == nil && err != nil || decision != nil && !errors.Is(err, hawser.ErrTxnAborted) {
			t.Errorf("%v: %v", decision, err)
		}
		if decision == nil {
			waitFor(t, "the handle goes on", func() bool { return own.Agent().Head() == before+1 })
		}
	}
	if _, err := own.Save(t.Context(), []byte("free again")); err != nil {
		t.Error(err)
	}
}

// Claim: who has voted yes is never told to undo it because the decision came
// before the answer to the vote; it is told to commit, once, and goes on from what
// it has staged. Method: the answers to votes are held back until the client gives
// them up.
func TestTransact_DecisionBeforeTheAnswerToTheVote(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 1)
	late := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		err := invoke(ctx, method, req, reply, cc, opts...)
		vote := strings.HasSuffix(method, "/Vote")
		if save, ok := req.(*hawserv1.SaveRequest); vote || ok && save.GetVote() != nil {
			<-ctx.Done()
			return ctx.Err()
		}
		return err
	}
	c, err := client.Dial(client.Config{Endpoints: []string{cluster.Endpoint(0)}, DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(late)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Agent("a").Save(t.Context(), []byte("1")); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	told := map[string]string{}
	note := func(id, what string) {
		mu.Lock()
		defer mu.Unlock()
		told[id] += what
	}
	own := attend(t, c, "a", client.Participant{
		Prepare: func(_ context.Context, req client.TxnRequest) ([]byte, error) {
			if req.ID.ID == "same" {
				return nil, nil
			}
			return []byte(req.ID.ID), nil
		},
		Commit: func(_ context.Context, id hawser.TxnID, version uint64) error {
			note(id.ID, fmt.Sprint("commit ", version))
			return nil
		},
		Rollback: func(_ context.Context, id hawser.TxnID) error { note(id.ID, "rollback"); return nil },
	})
	for id, want := range map[string]string{"same": "commit 0", "next": "commit 2"} {
		if _, err := c.Transact(t.Context(), client.Txn{ID: id, Participants: tasks("a"), Timeout: 5 * time.Second}); err != nil {
			t.Fatal(err)
		}
		waitFor(t, id+" is done", func() bool {
			info, err := c.Txn(t.Context(), id)
			return err == nil && info.Done
		})
		mu.Lock()
		if told[id] != want {
			t.Errorf("%s: was told %q, want %q", id, told[id], want)
		}
		mu.Unlock()
	}
	waitFor(t, "the handle goes on", func() bool { return own.Agent().Head() == 2 })
	if _, err := own.Save(t.Context(), []byte("after")); err != nil {
		t.Error(err)
	}
}

// Claim: what became of a prepared id is told for one of this generation, and is
// in doubt for another one.
func TestTxnOf_KnowsItsGeneration(t *testing.T) {
	t.Parallel()
	c := hawsertest.StartCluster(t, 1).Client()
	ids := make(chan hawser.PreparedID, 1)
	attend(t, c, "a", client.Participant{Prepare: func(_ context.Context, req client.TxnRequest) ([]byte, error) {
		ids <- req.Prepared
		return []byte("x"), nil
	}})
	if _, err := c.Transact(t.Context(), client.Txn{ID: "t", Participants: tasks("a")}); err != nil {
		t.Fatal(err)
	}
	id := <-ids
	info, err := c.TxnOf(t.Context(), id)
	if err != nil || info.State != hawser.TxnCommitted || info.Participants[0].Epoch != id.Epoch {
		t.Errorf("%+v %v", info, err)
	}
	id.Txn = "other"
	if _, err := c.TxnOf(t.Context(), id); !errors.Is(err, hawser.ErrNotFound) {
		t.Errorf("one that was never begun: %v", err)
	}
	id.Generation++
	if _, err := c.TxnOf(t.Context(), id); !errors.Is(err, hawser.ErrWrongGeneration) {
		t.Errorf("one of another generation: %v", err)
	}
}

// waitFor polls until it is so.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// Claim: the same id, participants and deadline are the same transaction, from
// whichever process, while it runs and when it is over; past the deadline nothing
// is begun, and another deadline is another transaction.
func TestTransact_JoinedByIDAndDeadline(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 1)
	c, other := cluster.Client(), dial(t, cluster.Endpoint(0))
	attend(t, c, "a", client.Participant{Prepare: func(ctx context.Context, req client.TxnRequest) ([]byte, error) {
		return append([]byte("made by "), req.ID.ID...), nil
	}})
	now, err := c.Now(t.Context())
	if err != nil || now.IsZero() {
		t.Fatal(now, err)
	}
	txn := client.Txn{ID: "order-4711", Participants: tasks("a"), Deadline: now.Add(3 * time.Second)}
	for _, from := range []*client.Client{c, other, c} {
		if info, err := from.Transact(t.Context(), txn); err != nil || info.Participants[0].Version != 1 {
			t.Fatalf("%+v, %v", info, err)
		}
	}
	later := txn
	later.Deadline = now.Add(time.Minute)
	if _, err := other.Transact(t.Context(), later); !errors.Is(err, hawser.ErrRequestMismatch) {
		t.Errorf("with another deadline: %v", err)
	}
	waitFor(t, "it is over and forgotten", func() bool {
		_, err := c.Txn(t.Context(), txn.ID)
		return errors.Is(err, hawser.ErrNotFound)
	})
	if _, err := other.Transact(t.Context(), txn); !errors.Is(err, hawser.ErrRequestExpired) || errors.Is(err, hawser.ErrOutcomeUnknown) {
		t.Errorf("past its deadline: %v", err)
	}
	if cp, err := c.Agent("a").Restore(t.Context()); err != nil || cp.Version.Number != 1 || cp.Version.Txn != txn.ID {
		t.Errorf("%+v, %v", cp.Version, err)
	}
}
