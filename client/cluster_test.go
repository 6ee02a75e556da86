// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/internal/fakecluster"
)

// Status and members arrive as plain values.
func TestCluster_StatusAndMembers(t *testing.T) {
	cluster, c := start(t, 3)
	cluster.Lead(1)
	status, err := c.Cluster().Status(t.Context())
	if err != nil || !status.Ready || status.Leader != "n2-00000002" || status.LeaderAddress != "node2.test:7420" ||
		len(status.Members) != 3 || status.Term != 2 || status.Generation == 0 || len(status.ClusterID) != 32 || status.MachineTime.IsZero() {
		t.Errorf("status %+v, %v", status, err)
	}
	members, err := c.Cluster().Members(t.Context())
	if err != nil || len(members) != 3 {
		t.Fatalf("members %+v, %v", members, err)
	}
	if m := members[1]; !m.Leader || m.Name != "n2" || m.Role != client.RoleVoter || m.Liveness != client.LivenessAlive {
		t.Errorf("member %+v", m)
	}
	cluster.Lead(-1)
	status, err = c.Cluster().Status(t.Context())
	if err != nil || status.Ready || status.Reason == "" || status.Leader != "" {
		t.Errorf("without a leader: %+v, %v", status, err)
	}
}

// Changes are sent, refused and repeated as they should be.
func TestCluster_Changes(t *testing.T) {
	_, c := start(t, 3)
	admin := c.Cluster()
	if err := admin.Promote(t.Context(), "n2"); err != nil {
		t.Error(err)
	}
	wantError(t, admin.Remove(t.Context(), "n2", false), hawser.ErrRefused)
	if err := admin.Remove(t.Context(), "n2", true); err != nil {
		t.Error(err)
	}
	if err := admin.TransferLeadership(t.Context(), "n3-00000003"); err != nil {
		t.Error(err)
	}
	status, err := admin.Status(t.Context())
	if err != nil || status.Leader != "n3-00000003" {
		t.Errorf("leader %q, %v", status.Leader, err)
	}
}

// A transfer to whomever is not repeated once it may have happened, for it
// would move the leadership on; one to a named node is.
func TestCluster_TransferIsNotRepeatedBlindly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		cluster.SetFault(fakecluster.Always("TransferLeadership", fakecluster.BreakAfter))
		err := c.Cluster().TransferLeadership(t.Context(), "")
		wantError(t, err, hawser.ErrOutcomeUnknown)
		if status, err := c.Cluster().Status(t.Context()); err != nil || status.Term != 2 {
			t.Errorf("transferred %d times, %v", status.Term-1, err)
		}
		cluster.SetFault(fakecluster.Script("TransferLeadership", fakecluster.Break))
		if err := c.Cluster().TransferLeadership(t.Context(), "n3-00000003"); err != nil {
			t.Error(err)
		}
		cluster.SetFault(fakecluster.Always("Promote", fakecluster.Hang))
		err = c.Cluster().Promote(t.Context(), "n2")
		wantError(t, err, hawser.ErrOutcomeUnknown)
		if _, isSave := errors.AsType[*hawser.UnknownOutcomeError](err); isSave {
			t.Errorf("a change of the cluster has no request id to repeat: %v", err)
		}
	})
}

// A removal by name whose answer was lost, and whose repetition finds no such
// node, is not reported as a failure: it may have been the first attempt.
func TestCluster_RefusedRepetitionIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		cluster.SetFault(fakecluster.Script("Remove", fakecluster.BreakAfter, fakecluster.Refuse(hawser.CodeNotFound)))
		wantError(t, c.Cluster().Remove(t.Context(), "n2", true), hawser.ErrOutcomeUnknown)
		cluster.SetFault(fakecluster.Script("Remove", fakecluster.Refuse(hawser.CodeNotFound)))
		wantError(t, c.Cluster().Remove(t.Context(), "n2", true), hawser.ErrNotFound)
	})
}
