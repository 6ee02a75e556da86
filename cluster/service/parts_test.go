// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// received is a stream from a caller: messages, then an error, io.EOF if nil.
type received struct {
	grpc.ServerStream
	ctx      context.Context
	messages []*hawserv1.SavePartsRequest
	err      error
	read     int
	answer   *hawserv1.SaveResponse
}

func (r *received) Context() context.Context { return r.ctx }

func (r *received) Recv() (*hawserv1.SavePartsRequest, error) {
	if r.read == len(r.messages) {
		if r.err == nil {
			return nil, io.EOF
		}
		return nil, r.err
	}
	r.read++
	return r.messages[r.read-1], nil
}

func (r *received) SendAndClose(m *hawserv1.SaveResponse) error {
	r.answer = m
	return nil
}

// noise returns n bytes that do not pack.
func noise(n int, seed byte) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

// inParts returns the messages of a save of state as a keyframe in parts.
func inParts(name string, state []byte, seen uint64) []*hawserv1.SavePartsRequest {
	content := record.EncodeKeyframe(state)
	r := saveOf(name, nil, seen)
	sum := sha256.Sum256(state)
	r.Sha256 = sum[:]
	return cutInParts(r, content)
}

// cutInParts returns the messages of r with content in parts.
func cutInParts(r *hawserv1.SaveRequest, content record.Content) []*hawserv1.SavePartsRequest {
	base := r.GetPayload().GetBase()
	r.Payload = &hawserv1.Payload{Encoding: hawserv1.Encoding(content.Encoding), Size: content.Size, Base: base}
	messages := []*hawserv1.SavePartsRequest{{Message: &hawserv1.SavePartsRequest_Save{Save: r}}}
	parts := record.PartsOf(content.Data)
	for _, part := range parts {
		messages = append(messages, partMessage(part))
	}
	return append(messages, endMessage(len(parts), content.CRC32C))
}

func partMessage(part []byte) *hawserv1.SavePartsRequest {
	return &hawserv1.SavePartsRequest{Message: &hawserv1.SavePartsRequest_Part{Part: part}}
}

func endMessage(parts int, crc uint32) *hawserv1.SavePartsRequest {
	return &hawserv1.SavePartsRequest{Message: &hawserv1.SavePartsRequest_End{End: &hawserv1.PartsEnd{Parts: uint32(parts), Crc32C: crc}}}
}

func saveParts(t *testing.T, s *Service, messages []*hawserv1.SavePartsRequest) (*hawserv1.SaveResponse, error) {
	t.Helper()
	stream := &received{ctx: t.Context(), messages: messages}
	err := s.SaveParts(stream)
	return stream.answer, err
}

// staged returns how many uploads wait for their save.
func staged(t *testing.T, l *leader) int {
	t.Helper()
	view, err := l.machine.View()
	if err != nil {
		t.Fatal(err)
	}
	defer closeView(view)
	uploads, err := view.Uploads(0)
	if err != nil {
		t.Fatal(err)
	}
	return len(uploads)
}

// rebuilt puts a restored version together, from base if the caller named one.
func rebuilt(t *testing.T, messages []*hawserv1.RestoreResponse, base []byte) []byte {
	t.Helper()
	var chain []record.Content
	add := func(p *hawserv1.Payload, delta bool) {
		content, err := wire.ContentFromProto(p, delta)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, content)
	}
	for i, m := range messages {
		if (i == 0) != (m.GetHeader() != nil) || (i == 0) != (m.GetVersion() != nil) {
			t.Fatal("header or version in the wrong message")
		}
		if m.GetPart() != nil {
			newest := &chain[len(chain)-1]
			newest.Data = append(newest.Data, m.GetPart()...)
		}
		if m.GetKeyframe() != nil {
			add(m.GetKeyframe(), false)
		}
		for _, d := range m.GetDeltas() {
			add(d, true)
		}
	}
	if base != nil && messages[0].GetKeyframe() == nil {
		raw := record.Content{Kind: record.Keyframe, Encoding: record.Raw, Size: uint64(len(base)), CRC32C: record.Checksum(base), Data: base}
		chain = slices.Insert(chain, 0, raw)
	}
	state, err := record.Materialise(chain, hawser.MaxStateSize)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// States of any length that are sent in parts come back byte for byte; what
// fits inline is stored so; nothing stays staged.
func TestSaveParts_RoundTrips(t *testing.T) {
	s, l := start(t)
	for i, size := range []int{0, 1, record.PartSize - 1, record.PartSize, record.PartSize + 1, 3 * record.PartSize, 3<<20 + 5} {
		name := fmt.Sprintf("a%d", i)
		state := noise(size, 1)
		saved, err := saveParts(t, s, inParts(name, state, 0))
		if err != nil || saved.GetVersion().GetNumber() != 1 || (saved.GetChain() == nil) != (size == 0) {
			t.Fatalf("%d bytes: %v, %v", size, saved, err)
		}
		got, err := restore(t.Context(), s, &hawserv1.RestoreRequest{Agent: &hawserv1.Agent{Name: name}})
		if err != nil || !bytes.Equal(rebuilt(t, got, nil), state) {
			t.Fatalf("%d bytes: restored something else, %v", size, err)
		}
		if inline := got[0].GetKeyframe().GetParts() == 0; inline != (size <= record.PartSize) {
			t.Errorf("%d bytes are stored inline: %v", size, inline)
		}
	}
	if n := staged(t, l); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

// Every stream that is not what it says is refused with a code and words that
// name the fault, when it can be known; nothing is stored, staged, held or left
// running.
func TestSaveParts_HostileStreams(t *testing.T) {
	s, l := start(t)
	before := runtime.NumGoroutine()
	state := noise(3*record.PartSize+10, 1)
	text := bytes.Repeat([]byte("a state that packs well, "), 1<<16)
	for _, tt := range []struct {
		name   string
		change func([]*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest
		want   string
	}{
		{"nothing", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest { return nil }, "it ends before"},
		{"no save", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest { return m[1:] }, "agent name"},
		{"two saves", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			return []*hawserv1.SavePartsRequest{m[0], m[0]}
		}, "second save"},
		{"an empty message", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			return []*hawserv1.SavePartsRequest{m[0], {}}
		}, "0 bytes"},
		{"ends before the parts", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest { return m[:1] }, "it ends before"},
		{"ends before the end", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest { return m[:len(m)-1] }, "it ends before"},
		{"a part is missing", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest { return slices.Delete(m, 2, 3) }, "3 parts came"},
		{"a part is missing, well counted", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			m[len(m)-1].GetEnd().Parts = 3
			return slices.Delete(m, 2, 3)
		}, "size"},
		{"parts are swapped", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			m[1], m[2] = m[2], m[1]
			return m
		}, "checksum"},
		{"too many parts", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			return slices.Insert(m, 1, m[1], m[1])
		}, "more than"},
		{"more than announced", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			m[0].GetSave().GetPayload().Parts = 2
			return m
		}, "more than 2"},
		{"fewer than announced", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			m[0].GetSave().GetPayload().Parts = 9
			return m
		}, "of 9"},
		{"impossibly many announced", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			m[0].GetSave().GetPayload().Parts = 1 << 30
			return m
		}, "at most"},
		{"a short part within", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			m[1] = partMessage([]byte("short"))
			return m
		}, "before another"},
		{"a long part", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			m[1] = partMessage(make([]byte, record.PartSize+1))
			return m
		}, "possible"},
		{"an empty part", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			m[1] = partMessage(nil)
			return m
		}, "possible"},
		{"parts after the end", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			m[len(m)-2], m[len(m)-1] = m[len(m)-1], m[len(m)-2]
			return m
		}, "3 parts came"},
		{"wrong checksum", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			m[len(m)-1].GetEnd().Crc32C++
			return m
		}, "checksum"},
		{"wrong hash", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			m[0].GetSave().GetSha256()[0]++
			return m
		}, "SHA-256"},
		{"size too small", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			m[0].GetSave().GetPayload().Size--
			return m
		}, "payload"},
		{"size too big", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			m[0].GetSave().GetPayload().Size++
			return m
		}, "payload"},
		{"another size of the state", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			m[0].GetSave().StateSize = 7
			return m
		}, "another size"},
		{"data of its own", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			m[0].GetSave().GetPayload().Data = []byte("x")
			return m
		}, "no data"},
		{"not zstd at all", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			m[0].GetSave().GetPayload().Encoding = hawserv1.Encoding_ENCODING_ZSTD
			return m
		}, "payload"},
		{"cut zstd", func([]*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			content := record.EncodeKeyframe(text)
			content.Data = content.Data[:len(content.Data)-1]
			content.CRC32C = record.Checksum(content.Data)
			m := inParts("victim", text, 0)
			return cutInParts(m[0].GetSave(), content)
		}, "payload"},
		{"a delta of another size", func(m []*hawserv1.SavePartsRequest) []*hawserv1.SavePartsRequest {
			m[0].GetSave().GetPayload().Base = &hawserv1.Base{Number: 1, Sha256: make([]byte, 32)}
			return m
		}, "keyframe needed"},
	} {
		m := tt.change(inParts("victim", bytes.Clone(state), 0))
		_, err := saveParts(t, s, m)
		if hawser.CodeOf(err) != hawser.CodeInvalid && hawser.CodeOf(err) != hawser.CodeKeyframeNeeded || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v (%v), want words about %q", tt.name, err, hawser.CodeOf(err), tt.want)
		}
		if n := staged(t, l); n != 0 {
			t.Errorf("%s: %d uploads are left", tt.name, n)
		}
	}
	if _, err := s.Show(t.Context(), &hawserv1.ShowRequest{Agent: &hawserv1.Agent{Name: "victim"}}); hawser.CodeOf(err) != hawser.CodeNotFound {
		t.Errorf("something was stored: %v", err)
	}
	if len(s.uploads) != 0 {
		t.Errorf("%d streams are counted for ever", len(s.uploads))
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines are left of %d", runtime.NumGoroutine(), before)
		}
	}
}

// A stream that breaks off was not executed, whatever the proposer said of its
// parts; what was staged is not staged again by the repetition.
func TestSaveParts_BrokenOffAndRepeated(t *testing.T) {
	s, l := start(t)
	state := noise(6*record.PartSize, 1)
	m := inParts("a", state, 0)
	err := s.SaveParts(&received{ctx: t.Context(), messages: m[:5], err: context.Canceled})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if n := staged(t, l); n != 1 {
		t.Fatalf("%d uploads are staged, want the one that was broken off", n)
	}
	parts := 0
	l.fail = func(_ int, c fsm.Command) (bool, error) {
		if _, part := c.(*fsm.Part); part {
			parts++
		}
		return false, nil
	}
	m[0].GetSave().GetRequest().Attempt = 1
	saved, err := saveParts(t, s, m)
	if err != nil || saved.GetRepeated() || saved.GetVersion().GetNumber() != 1 {
		t.Fatalf("got %v, %v", saved, err)
	}
	if parts != 2 {
		t.Errorf("%d parts were staged by the repetition, want the 2 that were missing", parts)
	}
	for refusal, want := range map[error]error{hawser.ErrOutcomeUnknown: nil, hawser.ErrUnavailable: nil, hawser.ErrNotLeader: hawser.ErrUnavailable} {
		refused := false
		l.fail = func(_ int, c fsm.Command) (bool, error) {
			if part, ok := c.(*fsm.Part); ok && part.Index == 3 && !refused {
				refused = true
				return false, refusal
			}
			return false, nil
		}
		name := "b" + hawser.CodeOf(refusal).String()
		if _, err := saveParts(t, s, inParts(name, state, 0)); !errors.Is(err, want) {
			t.Errorf("a part ended with %v: got %v", refusal, err)
		}
	}
}

// What an earlier attempt has made, or what would be refused, is answered
// without reading the parts; the outcome of the save itself can stay unknown.
func TestSaveParts_AnswersBeforeTheParts(t *testing.T) {
	s, l := start(t)
	state := noise(4*record.PartSize, 1)
	m := inParts("a", state, 0)
	l.fail = func(_ int, c fsm.Command) (bool, error) {
		if _, save := c.(*fsm.Save); save {
			return true, hawser.ErrOutcomeUnknown
		}
		return false, nil
	}
	_, err := saveParts(t, s, m)
	if unknown, ok := errors.AsType[*hawser.UnknownOutcomeError](err); !ok || !bytes.Equal(unknown.RequestID.Nonce[:], m[0].GetSave().GetRequest().GetNonce()) {
		t.Fatalf("got %v", err)
	}
	l.fail = nil
	ask := func(m []*hawserv1.SavePartsRequest) (*hawserv1.SaveResponse, error) {
		t.Helper()
		stream := &received{ctx: t.Context(), messages: m}
		err := s.SaveParts(stream)
		if stream.read > 1 {
			t.Errorf("%d messages were read", stream.read)
		}
		return stream.answer, err
	}
	m[0].GetSave().GetRequest().Attempt = 1
	saved, err := ask(m)
	if err != nil || !saved.GetRepeated() || saved.GetVersion().GetNumber() != 1 || saved.GetChain() == nil {
		t.Errorf("repeated: %v, %v", saved, err)
	}
	m[0].GetSave().GetSha256()[3]++
	if _, err := ask(m); !errors.Is(err, hawser.ErrRequestMismatch) {
		t.Errorf("another state: %v", err)
	}
	if _, err := ask(inParts("a", state, 0)); !errors.Is(err, hawser.ErrConflict) {
		t.Errorf("the head is another: %v", err)
	}
	wrong := inParts("a", state, 1)
	wrong[0].GetSave().GetRequest().Generation = 7
	if _, err := ask(wrong); !errors.Is(err, hawser.ErrWrongGeneration) {
		t.Errorf("another generation: %v", err)
	}
	delta := inParts("a", state, 1)
	delta[0].GetSave().GetPayload().Base = &hawserv1.Base{Number: 1, Sha256: make([]byte, 32)}
	delta[0].GetSave().GetPayload().Encoding = hawserv1.Encoding_ENCODING_RAW
	if _, err := ask(delta); !errors.Is(err, hawser.ErrKeyframeNeeded) {
		t.Errorf("another base: %v", err)
	}
}

// A long delta goes in parts too. When the machine refuses it, what was staged
// goes, and the whole state follows under the same request id.
func TestSaveParts_DeltaThenKeyframe(t *testing.T) {
	s, l := start(t)
	base := noise(2<<20, 1)
	if _, err := saveParts(t, s, inParts("a", base, 0)); err != nil {
		t.Fatal(err)
	}
	state := slices.Concat(base[:1<<20], noise(400<<10, 2), base[1<<20:])
	content, ok := record.EncodeDelta(base, state)
	if !ok || len(content.Data) < 3*record.PartSize {
		t.Fatalf("a delta of %d bytes", len(content.Data))
	}
	r := saveOf("a", nil, 1)
	old, sum := sha256.Sum256(base), sha256.Sum256(state)
	r.Sha256, r.StateSize = sum[:], uint64(len(state))
	r.Payload = &hawserv1.Payload{Base: &hawserv1.Base{Number: 1, Sha256: old[:]}}
	m := cutInParts(r, content)
	l.fail = func(_ int, c fsm.Command) (bool, error) {
		if _, save := c.(*fsm.Save); save {
			return false, hawser.ErrKeyframeNeeded
		}
		return false, nil
	}
	if _, err := saveParts(t, s, m); !errors.Is(err, hawser.ErrKeyframeNeeded) {
		t.Fatalf("got %v", err)
	}
	if n := staged(t, l); n != 0 {
		t.Errorf("%d uploads are left of a refused save", n)
	}
	l.fail = nil
	saved, err := saveParts(t, s, m)
	if err != nil || saved.GetVersion().GetNumber() != 2 || saved.GetChain().GetDeltas() != 1 {
		t.Fatalf("got %v, %v", saved, err)
	}
	r.Request.Nonce[0]++
	r.Payload, r.Request.Seen, *r.ExpectVersion = nil, 2, 2
	if saved, err = saveParts(t, s, cutInParts(r, record.EncodeKeyframe(state))); err != nil || saved.GetChain().GetDeltas() != 0 {
		t.Fatalf("as a keyframe: %v, %v", saved, err)
	}
	for number := range uint64(2) {
		got, err := restore(t.Context(), s, &hawserv1.RestoreRequest{Agent: &hawserv1.Agent{Name: "a"}, Version: 2 + number})
		if err != nil || !bytes.Equal(rebuilt(t, got, nil), state) {
			t.Errorf("version %d is something else: %v", 2+number, err)
		}
	}
}

// A node takes a bounded number of such saves at a time, and refuses more at
// once, so that callers go elsewhere.
func TestSaveParts_Bounded(t *testing.T) {
	s, _ := start(t)
	for range maxUploads {
		s.uploads <- struct{}{}
	}
	if _, err := saveParts(t, s, inParts("a", nil, 0)); !errors.Is(err, hawser.ErrOverloaded) {
		t.Fatalf("got %v", err)
	}
}
