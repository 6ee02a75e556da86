// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/snapshot"
)

// parseImportCommand reads one command of a script, nil if it is another:
//
//	import ARCHIVE [generation=N] [revision=N] · items ARCHIVE seq=N ITEM...
//	end ARCHIVE [agents=N] [versions=N] · abort [ARCHIVE]
func parseImportCommand(words []string, values map[string]uint64) fsm.Command {
	var archive hawser.Hash
	if len(words) > 1 {
		archive = sha256.Sum256([]byte(words[1]))
	}
	switch words[0] {
	case "import":
		return &fsm.ImportStart{Archive: archive, Generation: values["generation"], Revision: values["revision"]}
	case "items":
		i := &fsm.ImportItems{Archive: archive, Sequence: values["seq"]}
		for _, word := range words[3:] {
			i.Items = append(i.Items, parseItem(word))
		}
		return i
	case "end":
		return &fsm.ImportEnd{Archive: archive, Agents: values["agents"], Versions: values["versions"]}
	case "abort":
		return &fsm.ImportAbort{Archive: archive}
	}
	return nil
}

// parseItem reads one item:
//
//	p:PREFIX:LAST · f:NAMESPACE:NUMBER · x:BYTES
//	a:NAME:HEAD:LIVE:FLOOR:VERSIONS, ,at=SECONDS ,epoch=N
//	s:ID:PARENT:POSITION:FIRST, ,shared
//	c:SEGMENT:POSITION:STATE, ,delta ,crc=N ,parts=N ,size=N
//	t:INDEX:STATE, a part of the whole
//	v:NUMBER:SEGMENT:POSITION, ,pinned ,revision=N ,epoch=N ,at=SECONDS ,derived=NUMBER ,size=N
func parseItem(word string) []byte {
	main, rest, _ := strings.Cut(word, ",")
	kind, main, _ := strings.Cut(main, ":")
	fields := strings.Split(main, ":")
	n := func(i int) (v uint64) {
		if i < len(fields) {
			_, _ = fmt.Sscan(fields[i], &v)
		}
		return v
	}
	options := map[string]uint64{}
	for option := range strings.SplitSeq(rest, ",") {
		key, value, _ := strings.Cut(option, "=")
		var v uint64
		_, _ = fmt.Sscan(value, &v)
		options[key] = v
	}
	has := func(key string) bool { _, ok := options[key]; return ok }
	at := time.Unix(int64(options["at"]), 0)
	var item snapshot.Item
	switch kind {
	case "p":
		item = &snapshot.Policy{Policy: hawser.Policy{Namespace: "default", Prefix: fields[0], Retention: hawser.Retention{KeepLast: n(1)}}}
	case "f":
		item = &snapshot.Floor{Namespace: fields[0], Number: n(1)}
	case "a":
		item = &snapshot.Agent{
			ID: agentID(fields[0]), Head: n(1), Live: n(2), Floor: n(3), Versions: n(4), Created: at.UnixNano(), Epoch: options["epoch"],
		}
	case "s":
		item = &snapshot.Segment{ID: n(0), Parent: n(1), ParentPosition: uint32(n(2)), First: uint32(n(3)), Shared: has("shared")}
	case "c":
		item = parseContentItem(n(0), n(1), state(fields[2]), options)
	case "t":
		data := state(fields[1])
		if from := int(n(0)) * record.PartSize; from < len(data) {
			data = data[from:min(len(data), from+record.PartSize)]
		}
		item = &snapshot.Part{Index: uint32(n(0)), Data: data}
	case "v":
		v := &snapshot.Version{Kind: hawser.RequestSave, Nonce: nonce(main), Segment: n(1), Position: uint32(n(2))}
		v.Version = hawser.Version{
			Number: n(0), Parent: n(0) - 1, State: hawser.VersionLive, SHA256: sha256.Sum256([]byte("x")), Size: max(1, int64(options["size"])), StoredSize: 1,
			CreatedAt: at, Revision: hawser.Revision(options["revision"]), Epoch: options["epoch"], Pinned: has("pinned"),
		}
		if has("derived") {
			v.DerivedFrom = []hawser.VersionRef{{Agent: agentID("source"), Number: options["derived"]}}
		}
		item = v
	default:
		return []byte(main)
	}
	return snapshot.AppendItem(nil, item)
}

func parseContentItem(segment, position uint64, data []byte, options map[string]uint64) *snapshot.Content {
	c := &snapshot.Content{Segment: segment, Position: uint32(position), Content: record.Content{
		Kind: record.Keyframe, Encoding: record.Raw, Size: uint64(len(data)), CRC32C: record.Checksum(data), Data: data,
	}}
	if _, ok := options["delta"]; ok {
		c.Kind = record.Delta
	}
	if crc, ok := options["crc"]; ok {
		c.CRC32C = uint32(crc)
	}
	if parts := options["parts"]; parts > 0 {
		c.Parts, c.Data = uint32(parts), nil
	}
	if size := options["size"]; size > 0 {
		c.Size = size
	}
	return c
}

// askImport answers: export [NAMESPACE] · progress
func askImport(d *datadriven.TestData, v *fsm.View) string {
	switch d.Cmd {
	case "export":
		var words []string
		err := v.Export(context.Background(), "", "", func(item snapshot.Item) error {
			words = append(words, short(item))
			return nil
		})
		return strings.Join(words, " ") + suffix(err) + "\n"
	case "progress":
		p, ok, err := v.Import()
		return fmt.Sprintf("%t: %d items, %d agents, %d versions, done %t, failure %q%s\n", ok, p.Items, p.Agents, p.Versions, p.Done, p.Failure, suffix(err))
	}
	return "unknown directive\n"
}

// short tells an item in a word.
func short(item snapshot.Item) string {
	switch item := item.(type) {
	case *snapshot.Policy:
		return "p:" + item.Prefix
	case *snapshot.Floor:
		return "f:" + item.Namespace
	case *snapshot.Agent:
		return "a:" + item.ID.Name
	case *snapshot.Segment:
		return fmt.Sprintf("s%d", item.ID)
	case *snapshot.Content:
		return fmt.Sprintf("c%d.%d", item.Segment, item.Position)
	case *snapshot.Part:
		return fmt.Sprintf("part%d", item.Index)
	case *snapshot.Version:
		return fmt.Sprintf("v%d", item.Number)
	}
	return fmt.Sprintf("%T", item)
}
