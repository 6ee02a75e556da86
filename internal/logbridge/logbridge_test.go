// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package logbridge_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/hawserdb/hawser/internal/logbridge"
)

// Level, name, attributes, formatting wrappers and the caller's source survive the bridge.
func TestHCLog_KeepsWhatTheLibrarySaid(t *testing.T) {
	var b bytes.Buffer
	h := slog.NewTextHandler(&b, &slog.HandlerOptions{Level: logbridge.LevelTrace, AddSource: true})
	l := logbridge.HCLog(h).Named("raft").Named("net").With("peer", "n2")
	l.Warn("failed to contact", "time", hclog.Fmt("%dms", 40), "n", hclog.Hex(255), "q", hclog.Quote("a b"), "e", hclog.Fmt(""))
	l.Log(hclog.Off, "never seen")
	for _, want := range []string{
		"level=WARN", "logger=raft.net", "peer=n2", "time=40ms", "n=0xff", "logbridge_test.go",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("missing %q in %s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "never seen") {
		t.Error("a record at level off was written")
	}
}

// The handler alone decides which levels are on.
func TestHCLog_LevelIsTheHandlers(t *testing.T) {
	var b bytes.Buffer
	l := logbridge.HCLog(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelWarn}))
	l.SetLevel(hclog.Trace)
	l.Info("quiet")
	if b.Len() != 0 || l.IsInfo() || !l.IsWarn() || l.GetLevel() != hclog.Warn {
		t.Errorf("written %q, info %v, warn %v, level %v", b.String(), l.IsInfo(), l.IsWarn(), l.GetLevel())
	}
}

// Tags of the standard logger become levels; text that merely starts with a bracket is kept whole.
func TestStd_ReadsTags(t *testing.T) {
	for _, c := range []struct{ line, level, msg string }{
		{"[ERR] memberlist: oops", "ERROR", `"memberlist: oops"`},
		{"[WARN] slow", "WARN", "msg=slow"},
		{"[DEBUG] detail", "DEBUG", "msg=detail"},
		{"plain", "INFO", "msg=plain"},
		{"[::1]:7422 joined", "INFO", `"[::1]:7422 joined"`},
		{"[", "INFO", "msg=["},
		{"", "INFO", `msg=""`},
	} {
		var b bytes.Buffer
		logbridge.Std(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug})).Print(c.line)
		if !strings.Contains(b.String(), "level="+c.level) || !strings.Contains(b.String(), c.msg) {
			t.Errorf("%q became %s", c.line, b.String())
		}
	}
}
