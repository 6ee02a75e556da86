// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hawserdb/hawser"
)

// Claim: an agent name is 1 to 512 bytes of clean UTF-8 segments, and every
// refusal is ErrInvalid and says which rule was broken.
func TestNewAgentID_Names(t *testing.T) {
	for _, tc := range []struct {
		what, name, refusal string // refusal "": accepted
	}{
		{"plain", "researcher-7", ""},
		{"segments", "crew/a/b", ""},
		{"spaces and punctuation", "crew 1/agent (old): v2", ""},
		{"three dots", "a/.../b", ""},
		{"hidden", ".a", ""},
		{"letters of the world", "исследователь/研究者", ""},
		{"longest", strings.Repeat("a", 512), ""},
		{"empty", "", "is empty"},
		{"too long", strings.Repeat("a", 513), "longer than 512 bytes"},
		{"too long, cut inside a letter", strings.Repeat("é", 300), "longer than 512 bytes"},
		{"too long once composed form is decomposed", strings.Repeat("\u0958", 170), "longer than 512 bytes"},
		{"not UTF-8", "a\xff", "not UTF-8"},
		{"long and not UTF-8", strings.Repeat("\xff", 600), "longer than 512 bytes"},
		{"leading slash", "/a", "empty segment"},
		{"trailing slash", "a/", "empty segment"},
		{"double slash", "a//b", "empty segment"},
		{"only a slash", "/", "empty segment"},
		{"dot", "a/./b", `segment "."`},
		{"dot dot", "../a", `segment "." or ".."`},
		{"newline", "a\nb", "control or formatting"},
		{"zero byte", "a\x00b", "control or formatting"},
		{"C1 control", "a\u0085b", "control or formatting"},
		{"zero width joiner", "a\u200db", "control or formatting"},
		{"right-to-left override", "a\u202eb", "control or formatting"},
		{"byte order mark", "\ufeffa", "control or formatting"},
		{"line separator", "a\u2028b", "control or formatting"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			id, err := hawser.NewAgentID("", tc.name)
			if tc.refusal == "" {
				if err != nil || id.Namespace != hawser.DefaultNamespace || id.IsZero() {
					t.Fatalf("NewAgentID = %+v, %v", id, err)
				}
				return
			}
			checkRefusal(t, err, tc.refusal)
			if !id.IsZero() {
				t.Errorf("a refused name gave %+v", id)
			}
		})
	}
}

// Claim: one name has one spelling: a name in decomposed form is the agent of
// the composed form, and making an id again changes nothing.
func TestNewAgentID_CanonicalForm(t *testing.T) {
	composed, err := hawser.NewAgentID("n", "caf\u00e9")
	if err != nil {
		t.Fatal(err)
	}
	decomposed, err := hawser.NewAgentID("n", "cafe\u0301")
	if err != nil || decomposed != composed {
		t.Errorf("decomposed %+v, %v; composed %+v", decomposed, err, composed)
	}
	again, err := hawser.NewAgentID(composed.Namespace, composed.Name)
	if err != nil || again != composed {
		t.Errorf("again %+v, %v", again, err)
	}
	if got := composed.String(); got != "n/caf\u00e9" {
		t.Errorf("String = %q", got)
	}
}

// Claim: a namespace is 1 to 64 bytes of a-z, 0-9, '-', '_' and '.', and
// starts with a letter or digit.
func TestCheckNamespace(t *testing.T) {
	for ns, refusal := range map[string]string{
		"default": "", "a": "", "0": "", "team-1_x.y": "", strings.Repeat("n", 64): "",
		"": "is empty", strings.Repeat("n", 65): "longer than 64 bytes", strings.Repeat("é", 40): "longer than 64 bytes",
		"Team": "may hold only", "-a": "starts with", ".a": "starts with", "a b": "may hold only", "a/b": "may hold only",
		"é": "may hold only", "a\x00": "may hold only", "a\xff": "may hold only",
	} {
		if err := hawser.CheckNamespace(ns); refusal == "" {
			if err != nil {
				t.Errorf("CheckNamespace(%q) = %v", ns, err)
			}
		} else {
			checkRefusal(t, err, refusal)
		}
	}
	if _, err := hawser.NewAgentID("Team", "a"); !errors.Is(err, hawser.ErrInvalid) {
		t.Errorf("NewAgentID took a bad namespace: %v", err)
	}
}

// Claim: a prefix is what can stand before a segment boundary.
func TestNewPrefix(t *testing.T) {
	for prefix, refusal := range map[string]string{
		"": "", "crew": "", "crew/": "", "crew/a": "",
		"/": "is empty", "/crew": "empty segment", "crew//": "empty segment", "a/..": `".."`, "a\n": "control",
	} {
		if _, err := hawser.NewPrefix(prefix); refusal == "" {
			if err != nil {
				t.Errorf("NewPrefix(%q) = %v", prefix, err)
			}
		} else {
			checkRefusal(t, err, refusal)
		}
	}
}

// Claim: a prefix in any spelling finds the canonical names.
func TestNewPrefix_IsCanonical(t *testing.T) {
	if got, err := hawser.NewPrefix("cafe\u0301/"); err != nil || got != "caf\u00e9/" {
		t.Errorf("got %q, %v", got, err)
	}
}

// Claim: whatever is accepted obeys the rules and is canonical.
func FuzzNewAgentID(f *testing.F) {
	for _, name := range []string{"a", "crew/a", "cafe\u0301", "../a", "a\xff", "\u0958", ""} {
		f.Add("default", name)
	}
	f.Fuzz(func(t *testing.T, namespace, name string) {
		id, err := hawser.NewAgentID(namespace, name)
		if err != nil {
			if !errors.Is(err, hawser.ErrInvalid) {
				t.Fatalf("%v is not ErrInvalid", err)
			}
			return
		}
		if len(id.Name) == 0 || len(id.Name) > hawser.MaxAgentName || len(id.Namespace) > hawser.MaxNamespace {
			t.Fatalf("accepted %+v outside its limits", id)
		}
		if again, err := hawser.NewAgentID(id.Namespace, id.Name); err != nil || again != id {
			t.Fatalf("%+v became %+v, %v", id, again, err)
		}
	})
}

func checkRefusal(t *testing.T, err error, text string) {
	t.Helper()
	if !errors.Is(err, hawser.ErrInvalid) || hawser.CodeOf(err) != hawser.CodeInvalid {
		t.Errorf("error %v, want ErrInvalid", err)
	} else if !strings.Contains(err.Error(), text) {
		t.Errorf("error %q does not say %q", err, text)
	}
}
