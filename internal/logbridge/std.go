// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package logbridge

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"time"
)

// Std returns a standard logger that writes to h. A leading "[WARN] "-style
// tag, the convention of hashicorp/memberlist, becomes the record's level; a
// line without one is Info.
func Std(h slog.Handler) *log.Logger { return log.New(&taggedWriter{h: h}, "", 0) }

// taggedWriter turns one Write into one record.
type taggedWriter struct{ h slog.Handler }

// Write implements io.Writer. It never fails.
func (w *taggedWriter) Write(p []byte) (int, error) {
	ctx := context.Background()
	level, msg := untag(bytes.TrimSpace(p))
	if w.h.Enabled(ctx, level) {
		_ = w.h.Handle(ctx, slog.NewRecord(time.Now(), level, string(msg), 0))
	}
	return len(p), nil
}

// untag splits a leading "[LEVEL]" off msg.
func untag(msg []byte) (slog.Level, []byte) {
	end := bytes.IndexByte(msg, ']')
	if len(msg) == 0 || msg[0] != '[' || end < 0 {
		return slog.LevelInfo, msg
	}
	rest := bytes.TrimSpace(msg[end+1:])
	switch string(msg[1:end]) {
	case "TRACE":
		return LevelTrace, rest
	case "DEBUG":
		return slog.LevelDebug, rest
	case "INFO":
		return slog.LevelInfo, rest
	case "WARN", "WARNING":
		return slog.LevelWarn, rest
	case "ERR", "ERROR":
		return slog.LevelError, rest
	}
	return slog.LevelInfo, msg
}
