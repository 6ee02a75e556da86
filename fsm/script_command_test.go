// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/delta"
	"github.com/hawserdb/hawser/internal/record"
)

// parse reads one command of a script:
//
//	save AGENT STATE [req=R] [expect=N] [seen=N] [attempt=N] [generation=N] [label=K:V]... [from=AGENT@N]... [done=ID:RESULT|failed=ID:REASON]... [upload=U parts=N]
//	delta AGENT STATE base=N [of=AGENT] [sha=wrong] [as for save]
//	rollback AGENT N [as for save] · fork AGENT source=AGENT [number=N] [as for save]
//	delete AGENT req=R seen=N [attempt=N] [generation=N] · reclaim AGENT limit=N
//	pin|unpin AGENT N · bad AGENT N STATE · prune AGENT FROM-TO... [stamp=N], and others of policies
//	replace SEGMENT POSITION STATE [stamp=N]
//	part U STATE [index=N] · expire U... before=SECONDS
//	leader NODE term=N cluster=C generation=N · level N
//	session|endsession|expiresessions|send, and consume= and emit= of a save, as in script_message_test.go
//	run|done|failed|resolve-effect|forget-effects as in script_effect_test.go
//	open|close|acquire|claimfree|release|handover|unclaim|succeed|trim as in script_coordination_test.go
//	begin|yes|no|commit|cancel|ack|resolve|forget|sweep as in script_txn_test.go
//	cut|uncut|back|all|vote as in script_cut_test.go
//
// A STATE is a word as it is, or word/N: N bytes that are hard to pack and
// depend on the word, or word/N+more: the same with more at the end.
func (s *script) parse(line string) fsm.Command {
	s.t.Helper()
	words := strings.Fields(line)
	p := parser{s: s, words: words, request: fsm.Request{}, values: map[string]uint64{}, texts: map[string]string{}}
	p.options()
	q := p.request
	switch words[0] {
	case "save", "delta":
		return p.save()
	case "delete":
		return &fsm.Delete{Agent: agentID(words[1]), Request: q, Fence: p.fence()}
	case "reclaim":
		return &fsm.Reclaim{Agent: agentID(words[1]), Limit: uint32(p.values["limit"])}
	case "rollback":
		return &fsm.Rollback{Agent: agentID(words[1]), Request: q, Expect: p.expect, Number: p.number(2), Instance: "i"}
	case "fork":
		return &fsm.Fork{Agent: agentID(words[1]), Request: q, Source: agentID(p.texts["source"]), Number: p.values["number"], Instance: "i", Fence: p.fence()}
	case "pin", "unpin":
		return &fsm.Pin{Agent: agentID(words[1]), Number: p.number(2), Pinned: words[0] == "pin"}
	case "bad":
		return &fsm.MarkBad{Agent: agentID(words[1]), Number: p.number(2), SHA256: sha256.Sum256(state(words[3]))}
	case "replace":
		return &fsm.Replace{Segment: p.number(1), Position: uint32(p.number(2)), Stamp: p.values["stamp"], Content: p.content(words[3])}
	case "part":
		data := state(words[2])
		return &fsm.Part{Upload: upload(words[1]), Index: uint32(p.values["index"]), CRC32C: record.Checksum(data), Data: data}
	case "expire":
		e := &fsm.ExpireUploads{Before: int64(p.values["before"]) * int64(time.Second)}
		for _, word := range words[1 : len(words)-1] {
			e.Uploads = append(e.Uploads, upload(word))
		}
		return e
	case "leader":
		return &fsm.LeaderStart{Term: p.values["term"], Node: words[1], ClusterID: [16]byte{byte(p.values["cluster"])}, Generation: p.values["generation"]}
	case "level":
		return &fsm.RaiseLevel{Level: uint32(p.number(1))}
	}
	if words[0] == "prune" && strings.Contains(words[2], "-") {
		return p.prune()
	}
	if c := p.effect(); c != nil {
		return c
	}
	if c := p.coordination(); c != nil {
		return c
	}
	if c := p.transaction(); c != nil {
		return c
	}
	if c := p.messages(); c != nil {
		return c
	}
	if c := p.several(); c != nil {
		return c
	}
	if c := parsePolicyCommand(words, p.values); c != nil {
		return c
	}
	s.t.Fatalf("unknown command %q", line)
	return nil
}

// parser is one command of a script.
type parser struct {
	s       *script
	words   []string
	request fsm.Request
	values  map[string]uint64
	texts   map[string]string
	labels  map[string]string
	expect  *uint64
	from    []hawser.VersionRef
	ends    []fsm.EffectEnd
}

// options reads the words with an equals sign.
func (p *parser) options() {
	for _, word := range p.words[1:] {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			continue
		}
		n, _ := strconv.ParseUint(value, 10, 64)
		p.values[key], p.texts[key] = n, value
		switch key {
		case "req":
			p.request.Nonce = nonce(value)
		case "label":
			k, v, _ := strings.Cut(value, ":")
			if p.labels == nil {
				p.labels = map[string]string{}
			}
			p.labels[k] = v
		case "expect":
			p.expect = &n
		case "done", "failed":
			id, result, _ := strings.Cut(value, ":")
			p.ends = append(p.ends, effectEnd(id, result, key == "failed"))
		case "from":
			name, number, _ := strings.Cut(value, "@")
			n, _ := strconv.ParseUint(number, 10, 64)
			p.from = append(p.from, hawser.VersionRef{Agent: agentID(name), Number: n})
		}
	}
	p.request.Seen, p.request.Attempt, p.request.Generation = p.values["seen"], uint32(p.values["attempt"]), p.values["generation"]
}

// number reads a word as a number.
func (p *parser) number(word int) uint64 {
	n, err := strconv.ParseUint(p.words[word], 10, 64)
	if err != nil {
		p.s.t.Fatal(err)
	}
	return n
}

func (p *parser) save() fsm.Command {
	p.s.t.Helper()
	target := state(p.words[2])
	save := newSave(agentID(p.words[1]), string(target), "")
	save.Request, save.Expect, save.Labels, save.DerivedFrom = p.request, p.expect, p.labels, p.from
	save.Fence, save.Force = p.fence(), p.values["force"] > 0
	save.Effects = p.ends
	save.Size = uint64(len(target))
	save.Content = p.content(p.words[2])
	p.moved(save)
	if p.words[0] == "save" {
		return save
	}
	v := p.s.view()
	defer v.Close()
	of := save.Agent
	if p.texts["of"] != "" {
		of = agentID(p.texts["of"])
	}
	version, base, err := v.Materialise(of, p.values["base"])
	if err != nil {
		p.s.t.Fatal(err)
	}
	encoded := delta.Encode(base, target) // also where a client of ours would send the whole state
	content := record.Content{
		Kind: record.Delta, Encoding: record.Raw, Size: uint64(len(encoded)), CRC32C: record.Checksum(encoded), Data: encoded,
	}
	save.Base, save.Content = &fsm.Base{Number: version.Number, SHA256: version.SHA256}, content
	if p.texts["sha"] == "wrong" {
		save.Base.SHA256[0]++
	}
	return save
}

// content is a keyframe, in parts if the command says so.
func (p *parser) content(word string) record.Content {
	content := record.EncodeKeyframe(state(word))
	if p.values["parts"] > 0 {
		content.Parts, content.Upload, content.Data = uint32(p.values["parts"]), upload(p.texts["upload"]), nil
	}
	return content
}

func (p *parser) prune() fsm.Command {
	prune := &fsm.Prune{Agent: agentID(p.words[1]), Stamp: p.values["stamp"]}
	for _, word := range p.words[2:] {
		var r fsm.NumberRange
		if n, _ := fmt.Sscanf(word, "%d-%d", &r.From, &r.To); n == 2 {
			prune.Ranges = append(prune.Ranges, r)
		}
	}
	return prune
}

// state is the state that a word of a script stands for.
func state(word string) []byte {
	name, rest, ok := strings.Cut(word, "/")
	size, more, _ := strings.Cut(rest, "+")
	n, err := strconv.Atoi(size)
	if !ok || err != nil {
		return []byte(word)
	}
	sum := sha256.Sum256([]byte(name))
	random := rand.NewChaCha8(sum)
	b := make([]byte, n)
	_, _ = random.Read(b) // never fails
	return append(b, more...)
}

func upload(word string) (id [16]byte) {
	copy(id[:], word)
	return id
}

// brief is a state as a script shows it.
func brief(state []byte) string {
	if len(state) <= 64 {
		return fmt.Sprintf("%q", state)
	}
	end := len(state)
	for end > 0 && state[end-1] >= ' ' && state[end-1] < 0x7f {
		end--
	}
	return fmt.Sprintf("%d bytes ending in %q", len(state), state[end:])
}

func describePath(v *fsm.View, id hawser.AgentID, number uint64) string {
	_, path, err := v.Path(id, number)
	if err != nil {
		return suffix(err) + "\n"
	}
	var b strings.Builder
	for _, at := range path.Places {
		c, _, err := v.ContentAt(at.Segment, at.Position)
		if err != nil {
			return suffix(err) + "\n"
		}
		where := fmt.Sprintf("%d bytes", len(c.Data))
		if c.Parts > 0 {
			where = fmt.Sprintf("%d parts of upload %s", c.Parts, strings.TrimRight(string(c.Upload[:]), "\x00"))
		}
		fmt.Fprintf(&b, "segment %d position %d: %s, %s\n", at.Segment, at.Position, c.Kind, where)
	}
	fmt.Fprintf(&b, "keyframe of %d bytes and %d deltas of %d\n", path.Chain.Keyframe, path.Chain.Deltas, path.Chain.DeltaBytes)
	return b.String()
}

func describeSegment(s fsm.SegmentInfo, ok bool, err error) string {
	if err != nil || !ok {
		return "there is none" + suffix(err) + "\n"
	}
	line := fmt.Sprintf("segment %d: stamp %d, positions %d to %d", s.Segment, s.Stamp, s.First, s.Tip)
	if s.Parent != 0 {
		line += fmt.Sprintf(" after %d of segment %d", s.ParentPosition, s.Parent)
	}
	if s.Shared {
		line += ", shared"
	}
	for _, e := range s.Entries {
		line += fmt.Sprintf("\n  %d refs, %d bytes", e.Refs, e.Bytes)
	}
	return line + "\n"
}

func describeUploads(uploads []fsm.Upload, err error) string {
	var b strings.Builder
	for _, u := range uploads {
		fmt.Fprintf(&b, "%s: %d parts, %d bytes, at %s\n", strings.TrimRight(string(u.ID[:]), "\x00"), u.Parts, u.Bytes, u.TouchedAt.Format(time.TimeOnly))
	}
	return b.String() + suffix(err)
}

func describeImpact(affected []fsm.Affected, truncated bool, err error) string {
	var b strings.Builder
	for _, a := range affected {
		fmt.Fprintf(&b, "%s %v via %s\n", a.Agent, a.Versions, a.Via)
	}
	if truncated {
		b.WriteString("and more\n")
	}
	return b.String() + suffix(err)
}
