// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/snapshot"
)

// Rules of imports. They are frozen at the feature level that set them.
const (
	// maxImport is the most bytes of the items of one [ImportItems].
	maxImport = 256 << 10
	// maxCounter bounds numbers, revisions and ids of segments in an archive,
	// so that none of them can overflow afterwards.
	maxCounter = 1 << 62
	// maxToken bounds generations and epochs, which make up fencing tokens.
	maxToken = math.MaxUint32 - 1<<20
	// maxAhead is how far an archive's times may lie ahead of the machine's.
	maxAhead = int64(24 * time.Hour)
)

// ImportStart begins to fill a machine that never held an agent from an
// archive, or asks how far that has come: the result's Number counts the items
// that were applied. Until [ImportEnd] all but the commands of the import and
// of leaders are refused; once it has ended the result is that of the end.
type ImportStart struct {
	// Archive is the archive's SHA-256, which names the import.
	Archive hawser.Hash
	// Generation and Revision are the archive's.
	Generation, Revision uint64
}

// ImportItems applies items of an archive, which [snapshot.AppendItem]
// encoded, in their order. Items that were applied before are left out, so the
// command may be repeated, also with other bounds. The result's Number is that
// of [ImportStart]. When an item is refused the import has failed, and can only
// be aborted.
type ImportItems struct {
	Archive hawser.Hash
	// Sequence counts the items before the first one here.
	Sequence uint64
	Items    [][]byte
}

// ImportEnd ends an import when all that the archive holds is there. The
// cluster is of a new generation then, and goes on above the archive's revision.
type ImportEnd struct {
	Archive hawser.Hash
	// Agents that have a live version, and versions of all.
	Agents, Versions uint64
}

// ImportAbort empties a machine that is being filled.
type ImportAbort struct {
	// Archive is zero for whatever import there is.
	Archive hawser.Hash
}

func (*ImportStart) kind() commandKind { return kindImportStart }
func (*ImportItems) kind() commandKind { return kindImportItems }
func (*ImportEnd) kind() commandKind   { return kindImportEnd }
func (*ImportAbort) kind() commandKind { return kindImportAbort }

func (i *ImportStart) appendBody(dst []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(append(dst, i.Archive[:]...), i.Generation), i.Revision)
}

func (i *ImportStart) parseBody(r *reader) {
	i.Archive, i.Generation, i.Revision = r.hash(), r.uvarint(), r.uvarint()
}

func (i *ImportItems) appendBody(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, i.Archive[:]...), i.Sequence)
	dst = binary.AppendUvarint(dst, uint64(len(i.Items)))
	for _, item := range i.Items {
		dst = appendBytes(dst, item)
	}
	return dst
}

func (i *ImportItems) parseBody(r *reader) {
	i.Archive, i.Sequence = r.hash(), r.uvarint()
	for range r.count(1) {
		i.Items = append(i.Items, r.bytes())
	}
}

func (i *ImportEnd) appendBody(dst []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(append(dst, i.Archive[:]...), i.Agents), i.Versions)
}

func (i *ImportEnd) parseBody(r *reader) {
	i.Archive, i.Agents, i.Versions = r.hash(), r.uvarint(), r.uvarint()
}

func (i *ImportAbort) appendBody(dst []byte) []byte { return append(dst, i.Archive[:]...) }
func (i *ImportAbort) parseBody(r *reader)          { i.Archive = r.hash() }

// importable reports whether a command may be applied while an archive is
// being restored.
func importable(c Command) bool {
	switch c.(type) {
	case *LeaderStart, *RaiseLevel, *Audit, *ImportStart, *ImportItems, *ImportEnd, *ImportAbort:
		return true
	}
	return false
}

func errImporting() error {
	return &hawser.Error{Code: hawser.CodeUnavailable, Op: "cluster", Msg: "an archive is being restored into it"}
}

func importError(code hawser.Code, format string, args ...any) error {
	return &hawser.Error{Code: code, Op: "import", Msg: fmt.Sprintf(format, args...)}
}

func (i *ImportStart) apply(c *changes) (Result, error) {
	rec, err := c.importing()
	if err != nil {
		return Result{}, err
	}
	switch {
	case i.Generation > maxToken || i.Revision > maxCounter:
		return c.refuse(importError(hawser.CodeInvalid, "generation %d and revision %d are absurd", i.Generation, i.Revision))
	case rec != nil && rec.archive == i.Archive && (c.state.importing || rec.end != 0):
		return c.imported(rec)
	case c.state.importing:
		return c.refuse(importError(hawser.CodeRefused, "another archive, %s, is being restored; abort that first", rec.archive))
	case c.state.revision != 0:
		return c.refuse(importError(hawser.CodeRefused, "the cluster is in use, at revision %d; restore all of an archive into a new one", c.state.revision))
	}
	rec = &importRecord{archive: i.Archive, generation: i.Generation, revision: i.Revision}
	c.state.importing = true
	c.put(importKey(), rec.encode())
	return c.imported(rec)
}

// imported is the result of a command that did what it should. Once the import
// has ended, its revision is that of the end, whatever came since.
func (c *changes) imported(rec *importRecord) (Result, error) {
	if rec.failure != "" {
		return c.refuse(importError(hawser.CodeCorrupt, "item %d was refused: %s; abort the import", rec.items, rec.failure))
	}
	res := c.result()
	res.Number = rec.items
	if rec.end != 0 {
		res.Revision = hawser.Revision(rec.end)
	}
	return res, nil
}

// under returns the import of an archive that is under way, or has ended last.
func (c *changes) under(archive hawser.Hash) (rec *importRecord, refusal, err error) {
	rec, err = c.importing()
	if err != nil {
		return nil, nil, err
	}
	if rec == nil || rec.archive != archive {
		return nil, importError(hawser.CodeRefused, "archive %s is not being restored", archive), nil
	}
	return rec, nil, nil
}

func (i *ImportItems) apply(c *changes) (Result, error) {
	rec, refusal, err := c.under(i.Archive)
	if err != nil {
		return Result{}, err
	}
	if refusal != nil {
		return c.refuse(refusal)
	}
	size := 0
	for _, item := range i.Items {
		size += len(item)
	}
	switch {
	case size > maxImport:
		return c.refuse(importError(hawser.CodeInvalid, "%d bytes of items, the most is %d", size, maxImport))
	case i.Sequence > rec.items:
		return c.refuse(importError(hawser.CodeRefused, "items from %d on, but %d were applied", i.Sequence, rec.items))
	case rec.failure != "" || uint64(len(i.Items)) <= rec.items-i.Sequence:
		return c.imported(rec) // done before, or never
	case !c.state.importing:
		return c.refuse(importError(hawser.CodeRefused, "the archive has %d items more than were restored", i.Sequence+uint64(len(i.Items))-rec.items))
	}
	m := &importer{c: c, rec: rec}
	for _, encoded := range i.Items[rec.items-i.Sequence:] {
		item, refusal := snapshot.ParseItem(encoded)
		if refusal == nil {
			if refusal, err = m.take(item); err != nil {
				return Result{}, err
			}
		}
		if refusal != nil {
			rec.failure = refusal.Error()
			break
		}
		rec.items++
	}
	c.put(importKey(), rec.encode())
	return c.imported(rec)
}

func (i *ImportEnd) apply(c *changes) (Result, error) {
	rec, refusal, err := c.under(i.Archive)
	if err != nil {
		return Result{}, err
	}
	if refusal != nil {
		return c.refuse(refusal)
	}
	m := &importer{c: c, rec: rec}
	switch missing := m.missing(); {
	case rec.failure != "":
		return c.imported(rec)
	case missing != "":
		return c.refuse(importError(hawser.CodeCorrupt, "the archive is incomplete: %s", missing))
	case rec.agents != i.Agents || rec.versions != i.Versions:
		return c.refuse(importError(hawser.CodeCorrupt, "%d agents and %d versions are there, the archive has %d and %d",
			rec.agents, rec.versions, i.Agents, i.Versions))
	case !c.state.importing: // ended before
		return c.imported(rec)
	}
	c.state.importing = false
	c.state.time = max(c.state.time, rec.newest)
	c.state.generation = max(c.state.generation, rec.generation+1, uint64(c.state.time)/uint64(time.Second))
	c.state.revision = max(c.state.revision, rec.revision) + 1
	c.state.retention = c.state.revision
	c.state.trimmed = c.state.revision
	rec.end = c.state.revision
	c.put(importKey(), rec.encode())
	return c.imported(rec)
}

func (i *ImportAbort) apply(c *changes) (Result, error) {
	rec, err := c.importing()
	if err != nil {
		return Result{}, err
	}
	switch {
	case !c.state.importing:
		return c.refuse(importError(hawser.CodeRefused, "no archive is being restored"))
	case i.Archive != hawser.Hash{} && i.Archive != rec.archive:
		return c.refuse(importError(hawser.CodeRefused, "another archive, %s, is being restored", rec.archive))
	}
	c.wipe()
	return c.result(), nil
}

// ImportProgress says how far an import has come.
type ImportProgress struct {
	Archive hawser.Hash
	// Items counts the items that were applied, Agents those with a live
	// version among them, Versions the versions.
	Items, Agents, Versions uint64
	// Failure says why an item was refused, and is empty otherwise.
	Failure string
	// Done is set when the import has ended.
	Done bool
}

// Import returns how far the last import has come, false when there was none.
func (v *View) Import() (ImportProgress, bool, error) {
	value, ok, err := v.snap.Get(importKey())
	if err != nil || !ok {
		return ImportProgress{}, false, err
	}
	rec, err := parseImport(value)
	if err != nil {
		return ImportProgress{}, false, damaged("import", err)
	}
	return ImportProgress{
		Archive: rec.archive, Items: rec.items, Agents: rec.agents, Versions: rec.versions, Failure: rec.failure, Done: !v.state.importing,
	}, true, nil
}
