// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build windows

package durable

// SyncDir does nothing: directories cannot be synced here, and renames are
// journalled by the file system.
func SyncDir(string) error { return nil }
