// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
)

func TestMessage_RoundTrip(t *testing.T) {
	to := hawser.AgentID{Namespace: "default", Name: "crew/a"}
	for _, m := range []hawser.Message{
		{
			Agent: to, Number: 7, ID: hawser.MessageID{Session: hawser.SessionID{1}, Sequence: 9}, Instance: "i",
			Labels: map[string]string{"k": "v"}, Payload: []byte("x"), SentAt: time.Unix(5, 6).UTC(), Revision: 8,
		},
		{Agent: to, Number: 8, From: hawser.VersionRef{Agent: hawser.AgentID{Namespace: "default", Name: "b"}, Number: 3}, SentAt: time.Unix(5, 0).UTC()},
	} {
		if got := MessageFromProto(MessageToProto(m)); !reflect.DeepEqual(got, m) {
			t.Errorf("%+v became %+v", m, got)
		}
	}
}

func TestSessionFromProto_Refuses(t *testing.T) {
	for _, b := range [][]byte{nil, {1}, make([]byte, 16), make([]byte, 17)} {
		if _, err := SessionFromProto(b); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("%v: %v", b, err)
		}
	}
}
