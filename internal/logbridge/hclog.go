// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package logbridge

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
)

// LevelTrace is the slog level that carries hclog's Trace records.
const LevelTrace = slog.LevelDebug - 4

// HCLog returns an hclog.Logger whose records go to h.
func HCLog(h slog.Handler) hclog.Logger { return &hcLogger{h: h} }

type hcLogger struct {
	h       slog.Handler
	name    string
	implied []any
}

var _ hclog.Logger = (*hcLogger)(nil)

func toSlog(l hclog.Level) slog.Level {
	switch l {
	case hclog.Trace:
		return LevelTrace
	case hclog.Debug:
		return slog.LevelDebug
	case hclog.Warn:
		return slog.LevelWarn
	case hclog.Error:
		return slog.LevelError
	case hclog.Info, hclog.NoLevel, hclog.Off:
	}
	return slog.LevelInfo
}

// emit must be called directly by an exported method: it skips three frames
// so that the record's source is the library's call site, not the bridge.
func (l *hcLogger) emit(level hclog.Level, msg string, args []any) {
	ctx, sl := context.Background(), toSlog(level)
	if level == hclog.Off || !l.h.Enabled(ctx, sl) {
		return
	}
	var pcs [1]uintptr
	runtime.Callers(3, pcs[:])
	r := slog.NewRecord(time.Now(), sl, msg, pcs[0])
	if l.name != "" {
		r.AddAttrs(slog.String("logger", l.name))
	}
	r.Add(plain(args)...)
	_ = l.h.Handle(ctx, r)
}

// plain resolves hclog's formatting wrappers, which slog would print raw.
func plain(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		switch v := a.(type) {
		case hclog.Format:
			out[i] = format(v)
		case hclog.Hex:
			out[i] = fmt.Sprintf("0x%x", int(v))
		case hclog.Octal:
			out[i] = fmt.Sprintf("0%o", int(v))
		case hclog.Binary:
			out[i] = fmt.Sprintf("0b%b", int(v))
		case hclog.Quote:
			out[i] = fmt.Sprintf("%q", string(v))
		default:
			out[i] = a
		}
	}
	return out
}

func format(f hclog.Format) string {
	if len(f) == 0 {
		return ""
	}
	pattern, ok := f[0].(string)
	if !ok {
		return fmt.Sprint(f...)
	}
	return fmt.Sprintf(pattern, f[1:]...)
}

// Log implements hclog.Logger.
func (l *hcLogger) Log(level hclog.Level, msg string, args ...any) { l.emit(level, msg, args) }

// Trace implements hclog.Logger.
func (l *hcLogger) Trace(msg string, args ...any) { l.emit(hclog.Trace, msg, args) }

// Debug implements hclog.Logger.
func (l *hcLogger) Debug(msg string, args ...any) { l.emit(hclog.Debug, msg, args) }

// Info implements hclog.Logger.
func (l *hcLogger) Info(msg string, args ...any) { l.emit(hclog.Info, msg, args) }

// Warn implements hclog.Logger.
func (l *hcLogger) Warn(msg string, args ...any) { l.emit(hclog.Warn, msg, args) }

// Error implements hclog.Logger.
func (l *hcLogger) Error(msg string, args ...any) { l.emit(hclog.Error, msg, args) }

func (l *hcLogger) enabled(level slog.Level) bool { return l.h.Enabled(context.Background(), level) }

// IsTrace implements hclog.Logger.
func (l *hcLogger) IsTrace() bool { return l.enabled(LevelTrace) }

// IsDebug implements hclog.Logger.
func (l *hcLogger) IsDebug() bool { return l.enabled(slog.LevelDebug) }

// IsInfo implements hclog.Logger.
func (l *hcLogger) IsInfo() bool { return l.enabled(slog.LevelInfo) }

// IsWarn implements hclog.Logger.
func (l *hcLogger) IsWarn() bool { return l.enabled(slog.LevelWarn) }

// IsError implements hclog.Logger.
func (l *hcLogger) IsError() bool { return l.enabled(slog.LevelError) }

// ImpliedArgs implements hclog.Logger.
func (l *hcLogger) ImpliedArgs() []any { return l.implied }

// Name implements hclog.Logger.
func (l *hcLogger) Name() string { return l.name }

// With implements hclog.Logger.
func (l *hcLogger) With(args ...any) hclog.Logger {
	n := *l
	n.implied = append(slices.Clip(l.implied), args...)
	var r slog.Record
	r.Add(plain(args)...)
	attrs := make([]slog.Attr, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool { attrs = append(attrs, a); return true })
	n.h = l.h.WithAttrs(attrs)
	return &n
}

// Named implements hclog.Logger.
func (l *hcLogger) Named(name string) hclog.Logger {
	if l.name != "" {
		name = l.name + "." + name
	}
	return l.ResetNamed(name)
}

// ResetNamed implements hclog.Logger.
func (l *hcLogger) ResetNamed(name string) hclog.Logger { n := *l; n.name = name; return &n }

// SetLevel implements hclog.Logger. It does nothing: the handler decides.
func (l *hcLogger) SetLevel(hclog.Level) {}

// GetLevel implements hclog.Logger.
func (l *hcLogger) GetLevel() hclog.Level {
	for _, level := range []hclog.Level{hclog.Trace, hclog.Debug, hclog.Info, hclog.Warn} {
		if l.enabled(toSlog(level)) {
			return level
		}
	}
	return hclog.Error
}

// StandardLogger implements hclog.Logger.
func (l *hcLogger) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger { return Std(l.h) }

// StandardWriter implements hclog.Logger.
func (l *hcLogger) StandardWriter(*hclog.StandardLoggerOptions) io.Writer {
	return &taggedWriter{h: l.h}
}
