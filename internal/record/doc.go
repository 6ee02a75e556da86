// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package record is the stored form of a version: how its bytes are packed,
// checked and put together again.
//
// A version is kept as a [Keyframe], the whole state, or as a [Delta], the
// difference to the version before it. A keyframe and the deltas after it are
// a chain; [Chain] says when the next keyframe is due and [Materialise] walks
// one. The codec of deltas is internal/delta.
//
// Data above [MaxInline] travel and are stored as parts, apart from the
// content that names them: [Pack] makes the parts of a state as it goes and a
// [Verifier] verifies them as they come, so that neither needs more memory for
// a larger state. A content with parts decodes like any other once the caller
// has loaded its Data.
//
// Decoding trusts nothing: the declared size is checked against the caller's
// limit before memory is taken, no more than the declared size is ever
// written, and anything before, between or after the one expected frame is an
// error. Errors match hawser.ErrCorrupt or hawser.ErrTooLarge.
//
// The only goroutine is that of a Verifier, which its Finish and Close end. All
// functions are safe for concurrent use. The client imports the package, so it
// stays light.
package record
