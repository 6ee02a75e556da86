// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hawserdb/hawser"
)

var hostile = []struct{ in, want string }{
	{"plain", "plain"},
	{"größe 日本 🙂", "größe 日本 🙂"},
	{`back\slash and "quote"`, `back\slash and "quote"`},
	{"\x1b[2Jcleared", `\x1b[2Jcleared`},
	{"\x1b]0;title\x07", `\x1b]0;title\a`},
	{"c1 \u009b31m", `c1 \u009b31m`},
	{"line\nbreak\ttab", `line\nbreak\ttab`},
	{"right \u202eto left", `right \u202eto left`},
	{"bad \xff utf8", `bad \xff utf8`},
	{"\x1b with \"quote\"", `\x1b with "quote"`},
	{"del \x7f", `del \x7f`},
}

// Claim: nothing that a terminal takes for a command leaves the program in a
// table, and ordinary text is left alone.
func TestEscape_Table(t *testing.T) {
	for _, test := range hostile {
		if got := escape(test.in); got != test.want {
			t.Errorf("escape(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

// Claim: labels and names with escapes do not reach the terminal raw, neither
// in a table nor in JSON, and JSON still reads back as what it was.
func TestOutput_EscapesLabels(t *testing.T) {
	for _, test := range hostile {
		if !utf8.ValidString(test.in) {
			continue // the wire carries UTF-8 alone
		}
		v := hawser.Version{Agent: hawser.AgentID{Namespace: "default", Name: "a"}, Number: 1, Labels: map[string]string{"k": test.in}, State: hawser.VersionLive}
		for _, asJSON := range []bool{false, true} {
			var out bytes.Buffer
			p := &program{stdout: &out}
			if err := p.printVersion(asJSON, v); err != nil {
				t.Fatal(err)
			}
			if i := strings.IndexFunc(out.String(), func(r rune) bool { return r != '\n' && dangerous(r) }); i >= 0 {
				t.Errorf("label %q, JSON %v: raw control character in %q", test.in, asJSON, out.String())
			}
			if !asJSON {
				continue
			}
			var back versionView
			if err := json.Unmarshal(out.Bytes(), &back); err != nil || back.Labels["k"] != test.in {
				t.Errorf("label %q came back as %q, %v", test.in, back.Labels["k"], err)
			}
		}
	}
}

// Claim: whatever goes in, what comes out holds no control character and is
// UTF-8.
func FuzzEscape(f *testing.F) {
	for _, test := range hostile {
		f.Add(test.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := escape(s)
		if strings.IndexFunc(got, dangerous) >= 0 || !utf8.ValidString(got) {
			t.Errorf("escape(%q) = %q", s, got)
		}
	})
}
