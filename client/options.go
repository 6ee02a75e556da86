// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"maps"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// SaveOption adjusts one [Agent.Save].
type SaveOption interface{ applySave(o *saveOptions) }

// DeleteOption adjusts one [Agent.Delete].
type DeleteOption interface{ applyDelete(o *writeOptions) }

// WriteOption adjusts one [Agent.Save], [Agent.Delete] or [Agent.Rollback].
type WriteOption interface {
	SaveOption
	DeleteOption
}

// LabelOption adjusts what may have labels, [Agent.Save], [Sender.Send] and [Emit].
type LabelOption interface {
	SaveOption
	MessageOption
}

// ForkOption adjusts one [Agent.Fork].
type ForkOption interface{ applyFork(o *forkOptions) }

// RequestOption adjusts any write that has a request id; [WithFence] adjusts
// effects too.
type RequestOption interface {
	WriteOption
	ForkOption
	EffectOption
}

// VersionOption adjusts what names a version, [Agent.Restore] and [Agent.Fork].
type VersionOption interface {
	RestoreOption
	ForkOption
}

// RetentionOption adjusts one [Client.SetRetention] or
// [Client.RemoveRetention].
type RetentionOption interface{ applyRetention(o *retentionOptions) }

// RestoreOption adjusts one [Agent.Restore].
type RestoreOption interface{ applyRestore(o *readOptions) }

// ListOption adjusts one [Agent.Versions], [Client.Agents] or [Client.Impact].
type ListOption interface{ applyList(o *readOptions) }

// ReadOption adjusts any read.
type ReadOption interface {
	RestoreOption
	ListOption
}

// condition is what must hold of the head for a write to be executed.
type condition uint8

const (
	conditionHandle  condition = iota // what the handle last saw
	conditionVersion                  // the number in expect
	conditionNone
)

type writeOptions struct {
	condition condition
	expect    uint64
	id        *hawser.RequestID
	fence     uint64
	force     bool
}

type saveOptions struct {
	writeOptions
	labels      map[string]string
	contentType string
	schema      string
	derivedFrom []hawser.VersionRef
	consume     []uint64
	emit        []emission
	effects     []*hawserv1.EffectEnd
}

type forkOptions struct {
	writeOptions
	version uint64 // 0 for the head
}

type retentionOptions struct{ dryRun bool }

type readOptions struct {
	stale       bool
	minRevision hawser.Revision
	version     uint64 // 0 for the head
	limit       int    // 0 for all
	noMessages  bool
}

type writeOption func(o *writeOptions)

func (f writeOption) applySave(o *saveOptions)    { f(&o.writeOptions) }
func (f writeOption) applyDelete(o *writeOptions) { f(o) }

type requestOption func(o *writeOptions)

func (f requestOption) applySave(o *saveOptions)     { f(&o.writeOptions) }
func (f requestOption) applyDelete(o *writeOptions)  { f(o) }
func (f requestOption) applyFork(o *forkOptions)     { f(&o.writeOptions) }
func (f requestOption) applyEffect(o *effectOptions) { f(&o.writeOptions) }

type saveOption func(o *saveOptions)

func (f saveOption) applySave(o *saveOptions) { f(o) }

type labelOption map[string]string

func (l labelOption) applySave(o *saveOptions)       { o.labels = l.add(o.labels) }
func (l labelOption) applyMessage(o *messageOptions) { o.labels = l.add(o.labels) }

func (l labelOption) add(to map[string]string) map[string]string {
	if to == nil {
		to = make(map[string]string, len(l))
	}
	maps.Copy(to, l)
	return to
}

type readOption func(o *readOptions)

func (f readOption) applyRestore(o *readOptions) { f(o) }
func (f readOption) applyList(o *readOptions)    { f(o) }

type versionOption uint64

func (v versionOption) applyRestore(o *readOptions) { o.version = uint64(v) }
func (v versionOption) applyFork(o *forkOptions)    { o.version = uint64(v) }

type listOption func(o *readOptions)

func (f listOption) applyList(o *readOptions) { f(o) }

// ExpectVersion makes the write conditional on the agent's head having this
// number, whatever the handle has seen. 0 means that the agent must not exist.
func ExpectVersion(number uint64) WriteOption {
	return writeOption(func(o *writeOptions) { o.condition, o.expect = conditionVersion, number })
}

// Overwrite makes the write unconditional: it follows whatever the head is.
func Overwrite() WriteOption {
	return writeOption(func(o *writeOptions) { o.condition = conditionNone })
}

// WithFence has a write carry the token of a claim, [hawser.Fence], that this
// process was given by whoever claimed the agent. A [Claim] does it by itself.
func WithFence(token uint64) RequestOption {
	return requestOption(func(o *writeOptions) { o.fence = token })
}

// Force has a save or rollback end whatever claim there is on the agent, and go
// on without one. It is for people who mend something by hand.
func Force() WriteOption {
	return writeOption(func(o *writeOptions) { o.force = true })
}

// WithRequestID repeats an earlier write whose outcome was unknown, under its
// id and its condition; the content must be the same. The result is that of
// the first execution, or hawser.ErrRequestExpired when it is too late to
// tell. [ExpectVersion] and [Overwrite] are ignored beside it.
func WithRequestID(id hawser.RequestID) RequestOption {
	return requestOption(func(o *writeOptions) { o.id = &id })
}

// Label records a label of the caller's own with the version or the message. At
// most hawser.MaxLabels of them; the last value of a key counts.
func Label(key, value string) LabelOption { return labelOption{key: value} }

// Labels records several labels, as [Label] does. The map is not retained.
func Labels(labels map[string]string) LabelOption { return labelOption(maps.Clone(labels)) }

// ContentType records what the content is, such as "application/json".
func ContentType(contentType string) SaveOption {
	return saveOption(func(o *saveOptions) { o.contentType = contentType })
}

// Schema records which schema or code version wrote the content, so that a
// later reader knows how to read it.
func Schema(schema string) SaveOption {
	return saveOption(func(o *saveOptions) { o.schema = schema })
}

// DerivedFrom records what the state was computed from: versions of any agents,
// at most hawser.MaxDerivedFrom. [Client.Impact] follows them. Given more than
// once, they add up.
func DerivedFrom(refs ...hawser.VersionRef) SaveOption {
	return saveOption(func(o *saveOptions) { o.derivedFrom = append(o.derivedFrom, refs...) })
}

// AtVersion restores or forks the version with this number instead of the
// head. A restore then does not move the handle's position. 0 is the head.
func AtVersion(number uint64) VersionOption { return versionOption(number) }

// DryRunOption adjusts what can be tried without doing it.
type DryRunOption interface {
	RetentionOption
	RollbackOption
}

type dryRun struct{}

func (dryRun) applyRetention(o *retentionOptions) { o.dryRun = true }
func (dryRun) applyRollback(o *rollbackOptions)   { o.dryRun = true }

// DryRun changes nothing, but says what would be removed, or rolled back.
func DryRun() DryRunOption { return dryRun{} }

// Stale takes what the answering node has, without asking the others: faster,
// and possibly old.
func Stale() ReadOption {
	return readOption(func(o *readOptions) { o.stale = true })
}

// MinRevision is [Stale], but the answer reflects at least this revision; the
// node waits for it if it has to. With the revision of a version that was just
// saved it reads one's own write, in whichever process.
func MinRevision(revision hawser.Revision) ReadOption {
	return readOption(func(o *readOptions) { o.stale, o.minRevision = true, revision })
}

// Limit ends a list after n items. 0 is no limit.
func Limit(n int) ListOption {
	return listOption(func(o *readOptions) { o.limit = n })
}
