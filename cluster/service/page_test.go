// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// A token leads back to the item that it was made from, in its own list only.
func TestPage_TokenRoundTrip(t *testing.T) {
	list := page{kind: pageAgents, generation: 7, scope: "default\x00crew"}
	for _, last := range []string{"a", "crew/ä", strings.Repeat("n", hawser.MaxAgentName)} {
		got, err := list.parse(list.token(last))
		if err != nil || got != last {
			t.Errorf("%q: got %q, %v", last, got, err)
		}
	}
	if got, err := list.parse(""); got != "" || err != nil {
		t.Errorf("no token: got %q, %v", got, err)
	}
}

// A token that is not for this list, generation or format is refused with
// advice, and none is taken for another item.
func TestPage_RefusesForeignTokens(t *testing.T) {
	list := page{kind: pageAgents, generation: 7, scope: "default\x00"}
	good := list.token("crew/one")
	raw, _ := base64.RawURLEncoding.DecodeString(good)
	flipped := append([]byte(nil), raw...)
	flipped[8] ^= 1
	for _, tt := range []struct {
		name, token string
		want        hawser.Code
	}{
		{"other list", page{kind: pageVersions, generation: 7, scope: "default\x00"}.token("x"), hawser.CodeInvalid},
		{"other scope", page{kind: pageAgents, generation: 7, scope: "other\x00"}.token("x"), hawser.CodeInvalid},
		{"other generation", page{kind: pageAgents, generation: 8, scope: "default\x00"}.token("x"), hawser.CodeWrongGeneration},
		{"not base64", "!!!", hawser.CodeInvalid},
		{"too short", "AAAA", hawser.CodeInvalid},
		{"cut", good[:len(good)-3], hawser.CodeInvalid},
		{"flipped bit", base64.RawURLEncoding.EncodeToString(flipped), hawser.CodeInvalid},
		{"too long", strings.Repeat("A", maxPageToken+1), hawser.CodeInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if last, err := list.parse(tt.token); hawser.CodeOf(err) != tt.want {
				t.Fatalf("got %q, %v; want %v", last, err, tt.want)
			}
		})
	}
}

func TestPage_Limit(t *testing.T) {
	for asked, want := range map[uint32]int{0: hawser.DefaultPage, 1: 1, hawser.MaxPage: hawser.MaxPage, 1 << 31: hawser.MaxPage} {
		if got := pageLimit(asked); got != want {
			t.Errorf("pageLimit(%d) = %d, want %d", asked, got, want)
		}
	}
}

// No token makes parse panic, and what it accepts it would have made.
func FuzzPageToken(f *testing.F) {
	list := page{kind: pageAgents, generation: 7, scope: "default\x00"}
	f.Add(list.token("crew/one"))
	f.Add("")
	f.Add("AQEHAAAA")
	f.Fuzz(func(t *testing.T, token string) {
		last, err := list.parse(token)
		if err == nil && token != "" && list.token(last) != token {
			t.Fatalf("accepted %q for %q", token, last)
		}
	})
}

// A page of versions with as many and as long labels as are allowed stays far
// below what a message may hold, and the pages together hold every version.
func TestService_PagesAreBoundedInBytes(t *testing.T) {
	s, _ := start(t)
	labels := map[string]string{}
	for i := range hawser.MaxLabels {
		labels[fmt.Sprintf("%0*d", hawser.MaxLabelKey, i)] = strings.Repeat("x", hawser.MaxLabelValue)
	}
	const n = 250
	for i := range n {
		r := saveOf("heavy", []byte{byte(i)}, uint64(i))
		r.Labels = labels
		if _, err := s.Save(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	next, pages, token := uint64(n), 0, ""
	for {
		page, err := s.Versions(t.Context(), &hawserv1.VersionsRequest{Agent: &hawserv1.Agent{Name: "heavy"}, Limit: hawser.MaxPage, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		if size := proto.Size(page); size > maxPageBytes+64<<10 {
			t.Fatalf("a page of %d bytes", size)
		}
		for _, v := range page.GetVersions() {
			if v.GetNumber() != next {
				t.Fatalf("version %d where %d should be", v.GetNumber(), next)
			}
			next--
		}
		pages++
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if next != 0 || pages < 2 {
		t.Fatalf("%d versions are missing from %d pages", next, pages)
	}
}
