// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package faultfs

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"time"
)

// Disk is a mounted file system; see the version for Linux.
type Disk struct{}

// Faults are what a disk does wrong.
type Faults struct {
	SyncError       syscall.Errno
	SyncErrors      int
	SyncDelay       time.Duration
	SyncHangs, Full bool
}

// Counts are what a disk has done, and done wrong.
type Counts struct {
	Writes, Syncs, SyncErrors, SlowSyncs, HungSyncs, Refused uint64
}

// Mount fails: it is written for Linux.
func Mount(string) (*Disk, error) { return nil, errors.New("a file system of ours needs Linux") }

// Path returns nothing.
func (*Disk) Path() string { return "" }

// Set does nothing.
func (*Disk) Set(Faults) {}

// Change does nothing.
func (*Disk) Change(func(*Faults)) {}

// Wipe does nothing.
func (*Disk) Wipe(string) error { return nil }

// Below returns nothing.
func (*Disk) Below(string) string { return "" }

// Changed does nothing.
func (*Disk) Changed(string) {}

// Release does nothing.
func (*Disk) Release() {}

// Hangs returns false.
func (*Disk) Hangs() bool { return false }

// Counts returns zeros.
func (*Disk) Counts() Counts { return Counts{} }

// PowerFail does nothing.
func (*Disk) PowerFail(*rand.Rand) (lost int, err error) { return 0, nil }

// Close does nothing.
func (*Disk) Close() error { return nil }
