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

// Claim: an effect comes back from its message as it was.
func TestConvert_EffectRoundTrips(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(1_700_000_000+s, 7).UTC() }
	e := hawser.Effect{
		Agent: hawser.AgentID{Namespace: "team", Name: "a"}, ID: "pay", State: hawser.EffectDone, Policy: hawser.OnUnknownSkip, Key: "k", Description: "d",
		Input: hawser.Hash{1}, Attempts: 2, Instance: "i", Epoch: 3, Head: 4, BegunAt: at(1), Version: 5, FinishedAt: at(2), Reason: "r", Resolved: true,
		Result: []byte("paid"), ResultSize: 4, Revision: 6, Inherited: true,
	}
	if got := EffectFromProto(EffectToProto(e)); !reflect.DeepEqual(got, e) {
		t.Errorf("got %+v, want %+v", got, e)
	}
	if n := reflect.TypeFor[hawser.Effect]().NumField(); n != 20 {
		t.Errorf("Effect has %d fields: add the new one to the conversion and to this test", n)
	}
	if got := EffectFromProto(EffectToProto(hawser.Effect{BegunAt: at(1)})); !got.FinishedAt.IsZero() || got.Input != (hawser.Hash{}) {
		t.Errorf("one that is open came back as %+v", got)
	}
}

// Claim: the enums of the root package and of the API are the same numbers.
func TestConvert_EffectStatesAgree(t *testing.T) {
	for s, want := range map[hawser.EffectState]hawserv1.EffectState{
		hawser.EffectOpen: hawserv1.EffectState_EFFECT_STATE_OPEN, hawser.EffectDone: hawserv1.EffectState_EFFECT_STATE_DONE,
		hawser.EffectFailed: hawserv1.EffectState_EFFECT_STATE_FAILED, hawser.EffectRetry: hawserv1.EffectState_EFFECT_STATE_RETRY,
	} {
		if hawserv1.EffectState(s) != want {
			t.Errorf("%v is %d on the wire", s, want)
		}
	}
	for p, want := range map[hawser.EffectPolicy]hawserv1.EffectPolicy{
		hawser.OnUnknownAsk: hawserv1.EffectPolicy_EFFECT_POLICY_ASK, hawser.OnUnknownRetry: hawserv1.EffectPolicy_EFFECT_POLICY_RETRY,
		hawser.OnUnknownSkip: hawserv1.EffectPolicy_EFFECT_POLICY_SKIP,
	} {
		if hawserv1.EffectPolicy(p) != want {
			t.Errorf("%v is %d on the wire", p, want)
		}
	}
}
