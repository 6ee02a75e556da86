// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"reflect"
	"testing"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/record"
)

// Contents, bases and chains come back from their messages unchanged; data that
// are kept in parts do not travel inline.
func TestContent_RoundTrips(t *testing.T) {
	for _, encoding := range []record.Encoding{record.Raw, record.Zstd} {
		c := record.Content{Kind: record.Keyframe, Encoding: encoding, Size: 7, CRC32C: 9, Data: []byte("x")}
		if got, err := ContentFromProto(ContentToProto(c), false); err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%v: %+v, %v", encoding, got, err)
		}
		c.Kind, c.Parts = record.Delta, 3
		got, err := ContentFromProto(ContentToProto(c), true)
		if err != nil || got.Data != nil || got.Parts != 3 || got.Kind != record.Delta {
			t.Errorf("in parts: %+v, %v", got, err)
		}
	}
	number, sha, err := BaseFromProto(BaseToProto(4, hawser.Hash{5}))
	if number != 4 || sha != (hawser.Hash{5}) || err != nil {
		t.Errorf("base: %d, %v, %v", number, sha, err)
	}
	chain := record.Chain{Keyframe: 1, Deltas: 2, DeltaBytes: 3}
	if got := ChainFromProto(ChainToProto(chain)); got != chain {
		t.Errorf("chain: %+v", got)
	}
	if ChainToProto(record.Chain{}) != nil || ChainFromProto(nil) != (record.Chain{}) {
		t.Error("no chain is not absent")
	}
}

// What names no version or no known encoding is refused.
func TestContent_RefusesNonsense(t *testing.T) {
	for _, m := range []*hawserv1.Base{nil, {Sha256: make([]byte, 32)}, {Number: 1}, {Number: 1, Sha256: make([]byte, 31)}} {
		if _, _, err := BaseFromProto(m); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("base %v: %v", m, err)
		}
	}
	for _, m := range []*hawserv1.Payload{nil, {Encoding: 77}} {
		if _, err := ContentFromProto(m, false); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("payload %v: %v", m, err)
		}
	}
}
