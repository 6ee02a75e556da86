// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"reflect"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// Versions, agents and request ids come back from their messages unchanged.
func TestConvert_RoundTrips(t *testing.T) {
	agent := hawser.AgentID{Namespace: "team", Name: "a/b"}
	v := hawser.Version{
		Agent: agent, Number: 5, Size: 100, SHA256: hawser.Hash{7}, Parent: 4, Epoch: 2, Instance: "i",
		Labels: map[string]string{"k": "v"}, ContentType: "application/json", Schema: "s/1",
		CreatedAt: time.Unix(1_700_000_000, 5).UTC(), Revision: 9, State: hawser.VersionGone, StoredSize: 50,
	}
	if got := VersionFromProto(VersionToProto(v)); !reflect.DeepEqual(got, v) {
		t.Errorf("version: got %+v, want %+v", got, v)
	}
	a := hawser.Agent{ID: agent, Head: 5, Version: &v, Versions: 3, StoredSize: 70, CreatedAt: time.Unix(1, 0).UTC(), Epoch: 2, Owner: "i", Fenced: true}
	if got := AgentInfoFromProto(AgentInfoToProto(a)); !reflect.DeepEqual(got, a) {
		t.Errorf("agent: got %+v, want %+v", got, a)
	}
	expect := uint64(4)
	id := hawser.RequestID{Nonce: hawser.Nonce{1}, Kind: hawser.RequestSave, Agent: agent, Generation: 3, Seen: 4, Expect: &expect}
	got, err := RequestFromProto(RequestToProto(id, 2), hawser.RequestSave, agent, &expect)
	if err != nil || !reflect.DeepEqual(got, id) {
		t.Errorf("request id: got %+v, %v", got, err)
	}
	if _, err := RequestFromProto(&hawserv1.RequestID{Nonce: []byte("short")}, hawser.RequestSave, agent, nil); hawser.CodeOf(err) != hawser.CodeInvalid {
		t.Errorf("short nonce: got %v", err)
	}
}

// The two enums of version states are the same numbers.
func TestConvert_VersionStatesAgree(t *testing.T) {
	for state, want := range map[hawser.VersionState]hawserv1.VersionState{
		hawser.VersionLive: hawserv1.VersionState_VERSION_STATE_LIVE,
		hawser.VersionGone: hawserv1.VersionState_VERSION_STATE_GONE,
		hawser.VersionBad:  hawserv1.VersionState_VERSION_STATE_BAD,
	} {
		if hawserv1.VersionState(state) != want {
			t.Errorf("%v is %v on the wire", state, hawserv1.VersionState(state))
		}
	}
}
