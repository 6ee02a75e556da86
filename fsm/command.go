// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"maps"
	"slices"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// Command is something that the machine does: a pointer to one of the command
// types of this package. Commands that came from [DecodeBatch] alias its
// argument.
type Command interface {
	kind() commandKind
	appendBody(dst []byte) []byte
	parseBody(r *reader)
	// apply changes the state, or refuses to in the result. An error stops
	// the replica.
	apply(c *changes) (Result, error)
}

// commandKind is the first byte of an encoded command: append only.
type commandKind uint8

const (
	kindLeaderStart commandKind = iota + 1
	kindRaiseLevel
	kindSave
	kindDelete
	kindReclaim
	kindRollback
	kindFork
	kindPin
	kindPrune
	kindReplace
	kindPart
	kindExpireUploads
	kindMarkBad
	kindSetRetention
	kindPruneTombs
	kindImportStart
	kindImportItems
	kindImportEnd
	kindImportAbort
	kindTrimEvents
	kindOpenLease
	kindEndLease
	kindAcquire
	kindRelease
	kindEndClaim
	kindSucceed
	kindBeginTxn
	kindVoteTxn
	kindDecideTxn
	kindAcknowledgeTxn
	kindResolveTxn
	kindForgetTxn
	kindSweepTxns
	kindOpenSession
	kindCloseSession
	kindExpireSessions
	kindSendMessage
	kindMakeCut
	kindRollbackCut
	kindDeleteCut
	kindSaveAll
	kindBeginEffect
	kindFinishEffect
	kindResolveEffect
	kindForgetEffects
	kindAudit
	kindSetHealth
	kindNote
	kindClaimFree
)

// MaxLevel is the feature level of this binary: it knows every command that
// was introduced at or below it. A machine starts at level 1.
const MaxLevel uint32 = 1

// commandTypes holds, by kind, the level that introduced a command and its maker.
var commandTypes = [...]struct {
	level uint32
	make  func() Command
}{
	kindLeaderStart:   {1, func() Command { return new(LeaderStart) }},
	kindRaiseLevel:    {1, func() Command { return new(RaiseLevel) }},
	kindSave:          {1, func() Command { return new(Save) }},
	kindDelete:        {1, func() Command { return new(Delete) }},
	kindReclaim:       {1, func() Command { return new(Reclaim) }},
	kindRollback:      {1, func() Command { return new(Rollback) }},
	kindFork:          {1, func() Command { return new(Fork) }},
	kindPin:           {1, func() Command { return new(Pin) }},
	kindPrune:         {1, func() Command { return new(Prune) }},
	kindReplace:       {1, func() Command { return new(Replace) }},
	kindPart:          {1, func() Command { return new(Part) }},
	kindExpireUploads: {1, func() Command { return new(ExpireUploads) }},
	kindMarkBad:       {1, func() Command { return new(MarkBad) }},
	kindSetRetention:  {1, func() Command { return new(SetRetention) }},
	kindPruneTombs:    {1, func() Command { return new(PruneTombs) }},
	kindImportStart:   {1, func() Command { return new(ImportStart) }},
	kindImportItems:   {1, func() Command { return new(ImportItems) }},
	kindImportEnd:     {1, func() Command { return new(ImportEnd) }},
	kindImportAbort:   {1, func() Command { return new(ImportAbort) }},
	kindTrimEvents:    {1, func() Command { return new(TrimEvents) }},
	kindOpenLease:     {1, func() Command { return new(OpenLease) }},
	kindEndLease:      {1, func() Command { return new(EndLease) }},
	kindAcquire:       {1, func() Command { return new(Acquire) }},
	kindRelease:       {1, func() Command { return new(Release) }},
	kindEndClaim:      {1, func() Command { return new(EndClaim) }},
	kindSucceed:       {1, func() Command { return new(Succeed) }},

	kindBeginTxn:       {1, func() Command { return new(BeginTxn) }},
	kindVoteTxn:        {1, func() Command { return new(VoteTxn) }},
	kindDecideTxn:      {1, func() Command { return new(DecideTxn) }},
	kindAcknowledgeTxn: {1, func() Command { return new(AcknowledgeTxn) }},
	kindResolveTxn:     {1, func() Command { return new(ResolveTxn) }},
	kindForgetTxn:      {1, func() Command { return new(ForgetTxn) }},
	kindSweepTxns:      {1, func() Command { return new(SweepTxns) }},

	kindOpenSession:    {1, func() Command { return new(OpenSession) }},
	kindCloseSession:   {1, func() Command { return new(CloseSession) }},
	kindExpireSessions: {1, func() Command { return new(ExpireSessions) }},
	kindSendMessage:    {1, func() Command { return new(SendMessage) }},
	kindMakeCut:        {1, func() Command { return new(MakeCut) }},
	kindRollbackCut:    {1, func() Command { return new(RollbackCut) }},
	kindDeleteCut:      {1, func() Command { return new(DeleteCut) }},

	kindSaveAll:       {1, func() Command { return new(SaveAll) }},
	kindBeginEffect:   {1, func() Command { return new(BeginEffect) }},
	kindFinishEffect:  {1, func() Command { return new(FinishEffect) }},
	kindResolveEffect: {1, func() Command { return new(ResolveEffect) }},
	kindForgetEffects: {1, func() Command { return new(ForgetEffects) }},

	kindAudit: {1, func() Command { return new(Audit) }},

	kindSetHealth: {1, func() Command { return new(SetHealth) }},
	kindNote:      {1, func() Command { return new(Note) }},
	kindClaimFree: {1, func() Command { return new(ClaimFree) }},
}

// Request makes a mutating command safe to repeat. Everything but Attempt is
// fixed at the first attempt.
type Request struct {
	Nonce hawser.Nonce
	// Generation that the client knew; 0 for none.
	Generation uint64
	// Seen is the newest number of the agent's chain that the client had seen.
	Seen uint64
	// Attempt is 0 for the first attempt.
	Attempt uint32
}

// Save appends a version to an agent's chain.
type Save struct {
	Agent   hawser.AgentID
	Request Request
	// Expect is the number that the newest live version must have, 0 for
	// none; nil for no condition.
	Expect *uint64
	// Fence is the token of the claim under which it is saved, 0 for none. Force,
	// instead, ends whatever claim there is.
	Fence uint64
	Force bool
	// Instance is the process that saves.
	Instance            string
	Labels              map[string]string
	ContentType, Schema string
	// SHA256 and Size are of the whole state; 0 with a keyframe is the size
	// that the keyframe declares.
	SHA256 hawser.Hash
	Size   uint64
	// Base is the version that a delta starts from; nil with a keyframe.
	Base *Base
	// Content is a keyframe or a delta, as Base says. The node that proposes
	// it has verified a keyframe and dry-run a delta. One with Parts needs
	// them all to be staged, and takes them over.
	Content record.Content
	// DerivedFrom are the versions that the state was computed from. They need
	// not exist.
	DerivedFrom []hawser.VersionRef
	// Consume are the numbers of messages of the agent's inbox that go with it, in
	// ascending order: all must be there. Emit are messages that are sent with it.
	Consume []uint64
	Emit    []Emission
	// Effects are ends of effects, which are recorded if the version is made.
	Effects []EffectEnd
}

// Base names the version that a delta starts from.
type Base struct {
	Number uint64
	SHA256 hawser.Hash
}

// Rollback appends a version equal to an older one of the same agent. It costs
// the same however large that is.
type Rollback struct {
	Agent   hawser.AgentID
	Request Request
	// Expect is as in [Save].
	Expect *uint64
	// Number is the version to return to.
	Number   uint64
	Instance string
	// Fence and Force are as in [Save].
	Fence uint64
	Force bool
}

// Fork makes Agent, which must have no version, with one version equal to one
// of Source. It costs the same however large that is.
type Fork struct {
	Agent   hawser.AgentID
	Request Request
	Source  hawser.AgentID
	// Number is the source's version, 0 for its head.
	Number   uint64
	Instance string
	// Fence is as in [Save], of Agent.
	Fence uint64
}

// Pin protects a version from [Prune], or ends that. Pinning a pinned version
// changes nothing.
type Pin struct {
	Agent  hawser.AgentID
	Number uint64
	Pinned bool
}

// NumberRange is the numbers From to To, both included.
type NumberRange struct{ From, To uint64 }

// Prune removes versions: those in Ranges, which are ascending, that are
// neither the head nor pinned nor in a cut. The ranges hold 512 numbers at most.
type Prune struct {
	Agent  hawser.AgentID
	Ranges []NumberRange
	// Stamp is the [View.RetentionStamp] by which the ranges were chosen; with
	// another one nothing is removed.
	Stamp uint64
}

// Replace makes the content at Position of a segment a keyframe, so that what
// is before it in the segment can go. Nothing before it may be in use, and the
// segment must have the Stamp that it had when Content was made.
type Replace struct {
	Segment  uint64
	Position uint32
	Stamp    uint64
	Content  record.Content
}

// Part stages one part of a content that is too long for one log entry. Every
// part but the last has record.PartSize bytes. A part that is there already
// changes nothing.
type Part struct {
	Upload [16]byte
	Index  uint32
	CRC32C uint32
	Data   []byte
}

// ExpireUploads removes uploads that belong to no content and got no part
// since Before, in unix nanoseconds of machine time.
type ExpireUploads struct {
	Uploads [][16]byte
	Before  int64
}

// MarkBad marks a version whose content does not match its hash, which the
// replicas have agreed on. It is never served again.
type MarkBad struct {
	Agent  hawser.AgentID
	Number uint64
	SHA256 hawser.Hash
}

// Delete removes an agent with all its versions. Request.Seen is its
// condition: the number of the newest live version. A claim stays when the
// delete carries its fence, and ends without one.
type Delete struct {
	Agent   hawser.AgentID
	Request Request
	// Fence is as in [Save].
	Fence uint64
}

// LeaderStart is the first command of every leader. The first one of all
// gives the cluster its id and generation.
type LeaderStart struct {
	Term       uint64
	Node       string
	ClusterID  [16]byte
	Generation uint64
}

// RaiseLevel raises the feature level. The leader proposes it when every
// member knows the level.
type RaiseLevel struct {
	Level uint32
}

// Reclaim frees what a deleted agent's versions occupy, Limit numbers at most.
type Reclaim struct {
	Agent hawser.AgentID
	Limit uint32
}

func (*LeaderStart) kind() commandKind   { return kindLeaderStart }
func (*RaiseLevel) kind() commandKind    { return kindRaiseLevel }
func (*Save) kind() commandKind          { return kindSave }
func (*Delete) kind() commandKind        { return kindDelete }
func (*Reclaim) kind() commandKind       { return kindReclaim }
func (*Rollback) kind() commandKind      { return kindRollback }
func (*Fork) kind() commandKind          { return kindFork }
func (*Pin) kind() commandKind           { return kindPin }
func (*Prune) kind() commandKind         { return kindPrune }
func (*Replace) kind() commandKind       { return kindReplace }
func (*Part) kind() commandKind          { return kindPart }
func (*ExpireUploads) kind() commandKind { return kindExpireUploads }
func (*MarkBad) kind() commandKind       { return kindMarkBad }

func sortedKeys(labels map[string]string) []string {
	if len(labels) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(labels))
}
