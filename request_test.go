// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser_test

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/hawserdb/hawser"
)

func requestIDs() []hawser.RequestID {
	zero, most := uint64(0), uint64(math.MaxUint64)
	agent := hawser.AgentID{Namespace: "default", Name: "crew/a"}
	long := hawser.AgentID{Namespace: strings.Repeat("n", 64), Name: strings.Repeat("研", 170)}
	return []hawser.RequestID{
		{Kind: hawser.RequestSave, Agent: agent},
		{Kind: hawser.RequestDelete, Agent: agent, Nonce: hawser.NewNonce(), Generation: 1795000000, Seen: 41},
		{Kind: hawser.RequestSave, Agent: agent, Nonce: hawser.NewNonce(), Expect: &zero},
		{Kind: hawser.RequestSave, Agent: long, Nonce: hawser.NewNonce(), Generation: math.MaxUint64, Seen: most, Expect: &most},
	}
}

// Claim: the printed form holds the whole request id, in characters that
// survive a shell and a double click.
func TestRequestID_RoundTrip(t *testing.T) {
	for _, id := range requestIDs() {
		printed := id.String()
		if rest := strings.Trim(printed, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"); rest != "" {
			t.Errorf("%s holds %q", printed, rest)
		}
		got, err := hawser.ParseRequestID(printed)
		if err != nil || !reflect.DeepEqual(got, id) {
			t.Errorf("ParseRequestID = %+v, %v; want %+v", got, err, id)
		}
	}
}

// Claim: a printed request id that was mangled anywhere is refused, never
// read as another request.
func TestParseRequestID_RefusesEveryMangledCharacter(t *testing.T) {
	printed := requestIDs()[1].String()
	for i := range len(printed) {
		for _, c := range []byte("AZ9-!") {
			if printed[i] == c {
				continue
			}
			if id, err := hawser.ParseRequestID(printed[:i] + string(c) + printed[i+1:]); err == nil {
				t.Fatalf("character %d replaced by %c was read as %+v", i, c, id)
			}
		}
		_, err := hawser.ParseRequestID(printed[:i])
		checkRefusal(t, err, "request id")
	}
}

// Claim: well-checksummed nonsense is refused with the reason.
func TestParseRequestID_Refusals(t *testing.T) {
	head := func(format, kind byte) []byte { return append([]byte{format, kind}, make([]byte, 16)...) }
	tail := []byte("\x00\x00\x00\x07defaulta")
	for _, tc := range []struct {
		what string
		body []byte
		want string
	}{
		{"another format", append(head(2, 1), tail...), "has format 2, this program knows 1"},
		{"kind 0", append(head(1, 0), tail...), "unknown kind"},
		{"kind of the future", append(head(1, 9), tail...), "unknown kind"},
		{"no numbers", head(1, 1), "cut short"},
		{"condition neither 0 nor 1", append(head(1, 1), "\x00\x00\x02\x07defaulta"...), "cut short"},
		{"number over 64 bits", append(head(1, 1), strings.Repeat("\xff", 11)...), "cut short"},
		{"namespace longer than the rest", append(head(1, 1), "\x00\x00\x00\x63defaulta"...), "cut short"},
		{"namespace longer than an int", append(head(1, 1), "\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01defaulta"...), "cut short"},
		{"bad namespace", append(head(1, 1), "\x00\x00\x00\x07Defaulta"...), "namespace"},
		{"empty name", append(head(1, 1), "\x00\x00\x00\x07default"...), "agent name"},
		{"bad name", append(head(1, 1), "\x00\x00\x00\x07default../x"...), "agent name"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			_, err := hawser.ParseRequestID(seal(tc.body))
			checkRefusal(t, err, tc.want)
		})
	}
	for _, text := range []string{"", "hello", strings.Repeat("A", 4096), "not base64!", "\x00"} {
		_, err := hawser.ParseRequestID(text)
		checkRefusal(t, err, "request id")
	}
}

// Claim: nothing makes the parser panic, and what it accepts prints and reads
// back as the same request. The input is given the right checksum half of the
// time, so that the fields behind it are reached.
func FuzzParseRequestID(f *testing.F) {
	for _, id := range requestIDs() {
		body, err := base64.RawURLEncoding.DecodeString(id.String())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body[:len(body)-4], true)
		f.Add(body, false)
	}
	f.Add([]byte("\x01\x01"), true)
	f.Fuzz(func(t *testing.T, body []byte, sealed bool) {
		text := base64.RawURLEncoding.EncodeToString(body)
		if sealed {
			text = seal(body)
		}
		id, err := hawser.ParseRequestID(text)
		if err != nil {
			checkRefusal(t, err, "request id")
			return
		}
		again, err := hawser.ParseRequestID(id.String())
		if err != nil || !reflect.DeepEqual(again, id) {
			t.Fatalf("%+v printed and read back: %+v, %v", id, again, err)
		}
	})
}

// Claim: two nonces differ, and kinds have words.
func TestRequestID_Parts(t *testing.T) {
	if first, second := hawser.NewNonce(), hawser.NewNonce(); first == second {
		t.Error("the same nonce twice")
	}
	for kind, want := range map[hawser.RequestKind]string{hawser.RequestSave: "save", hawser.RequestDelete: "delete", 77: "request kind 77"} {
		if got := kind.String(); got != want {
			t.Errorf("kind %d prints as %q", kind, got)
		}
	}
}

// seal adds the checksum and prints.
func seal(body []byte) string {
	sum := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(append([]byte(nil), body...), sum))
}
