// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/hawserdb/hawser/internal/halt"
)

// batchFormat is the first byte of an encoded batch. Formats 1 to 4 were those
// of development builds that knew no deltas, no claims, no transactions or no
// effects.
const batchFormat = 5

// BatchID names one batch; its proposer finds its waiters by it.
type BatchID [16]byte

// Batch is the content of one log entry.
type Batch struct {
	ID BatchID
	// Time is the proposer's stamp of machine time, in unix nanoseconds.
	Time     int64
	Commands []Command
}

// AppendCommand appends the encoded command: kind, level that introduced it
// (uvarint), length of the body (4 bytes), body. It does not keep c. The
// result is what [AppendBatch] takes; a body is shorter than 4 GiB.
func AppendCommand(dst []byte, c Command) []byte {
	dst = append(dst, byte(c.kind()))
	dst = binary.AppendUvarint(dst, uint64(commandTypes[c.kind()].level))
	dst = append(dst, 0, 0, 0, 0)
	start := len(dst)
	dst = c.appendBody(dst)
	binary.BigEndian.PutUint32(dst[start-4:], uint32(len(dst)-start))
	return dst
}

// AppendBatch appends one log entry made of commands that [AppendCommand]
// encoded: format, id, time (8 bytes), number of commands (uvarint), commands.
func AppendBatch(dst []byte, id BatchID, time int64, encoded [][]byte) []byte {
	size := 64
	for _, c := range encoded {
		size += len(c)
	}
	dst = append(append(slices.Grow(dst, size), batchFormat), id[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(time))
	dst = binary.AppendUvarint(dst, uint64(len(encoded)))
	for _, c := range encoded {
		dst = append(dst, c...)
	}
	return dst
}

// DecodeBatch reads one log entry. The commands alias data. An error is a
// *halt.Error: Level for what a later version of Hawser may have written,
// Entry for what none can have: the log checks its entries, so it is not the
// disk.
func DecodeBatch(data []byte) (Batch, error) {
	r := &reader{b: data}
	switch format := r.byte(); {
	case r.bad || format == batchFormat:
	case format < batchFormat:
		return Batch{}, earlierBuild("a log entry")
	default:
		return Batch{}, levelError(fmt.Errorf("a log entry has format %d, this binary knows %d", format, batchFormat))
	}
	var b Batch
	copy(b.ID[:], r.take(uint64(len(b.ID))))
	b.Time = int64(r.fixed64())
	n := r.uvarint()
	if n > uint64(len(r.b)) { // a command takes more than a byte
		r.fail()
	}
	for i := uint64(0); i < n && !r.bad; i++ {
		c, err := parseCommand(r)
		if err != nil {
			return Batch{}, err
		}
		b.Commands = append(b.Commands, c)
	}
	if err := r.end(); err != nil {
		return Batch{}, senseless(err)
	}
	return b, nil
}

func parseCommand(r *reader) (Command, error) {
	kind, level := r.byte(), r.uint32()
	body := &reader{b: r.take(uint64(r.fixed32()))}
	if r.bad {
		return nil, senseless(errMalformed)
	}
	if kind == 0 || int(kind) >= len(commandTypes) {
		return nil, levelError(fmt.Errorf("a log entry has command %d of feature level %d, this binary knows levels up to %d", kind, level, MaxLevel))
	}
	known := commandTypes[kind]
	if level != known.level {
		return nil, levelError(fmt.Errorf("a log entry has command %d of feature level %d, this binary knows it of level %d", kind, level, known.level))
	}
	c := known.make()
	c.parseBody(body)
	if err := body.end(); err != nil {
		return nil, senseless(fmt.Errorf("command %d: %w", kind, err))
	}
	return c, nil
}

// senseless is an entry that no version of Hawser can have written.
func senseless(err error) error {
	return &halt.Error{
		Reason: halt.Entry, Where: "log entry", Err: err,
		Hint: "all replicas meet it; keep the data directories and report it",
	}
}

func levelError(err error) error {
	return &halt.Error{Reason: halt.Level, Err: err, Hint: "run a newer hawser on this node"}
}

// earlierBuild is data that was never released, and is not worth reading.
func earlierBuild(what string) error {
	return &halt.Error{
		Reason: halt.Level, Err: errors.New(what + " was made by an earlier development build of Hawser"),
		Hint: "start with an empty data directory",
	}
}

func damaged(where string, err error) error {
	return &halt.Error{Reason: halt.Damaged, Where: where, Err: err}
}
