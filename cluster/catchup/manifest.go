// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package catchup

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/hawserdb/hawser/cluster/consensus"
	"github.com/hawserdb/hawser/fsm"
)

const (
	// maxFiles bounds the files of a checkpoint: 2 TiB in files of the engine's size.
	maxFiles         = 1 << 18
	maxID            = 64
	maxConfiguration = 1 << 20
	maxName          = 128
)

// Manifest says what a checkpoint consists of.
type Manifest struct {
	// Source is the node that has the checkpoint, ID its name there.
	Source string
	ID     string
	// Meta is how far the state has come.
	Meta fsm.Meta
	// Files are ascending by name.
	Files []File
}

// File is one file of a checkpoint.
type File struct {
	Name string
	Size int64
	Sum  [sha256.Size]byte
}

// Bytes returns the size of all files.
func (m *Manifest) Bytes() int64 {
	var sum int64
	for _, f := range m.Files {
		sum += f.Size
	}
	return sum
}

// Sum returns the SHA-256 over everything but the source.
func (m *Manifest) Sum() [sha256.Size]byte { return sha256.Sum256(m.body(nil)) }

// Check returns an error unless m can be that of a checkpoint: nothing that
// passes can write outside a directory, or declare what cannot be.
func (m *Manifest) Check() error {
	switch {
	case m.ID == "" || len(m.ID) > maxID:
		return fmt.Errorf("checkpoint's id has %d bytes", len(m.ID))
	case m.Meta.Index == 0 || m.Meta.Term == 0 || m.Meta.ConfigurationIndex > m.Meta.Index:
		return fmt.Errorf("checkpoint at index %d of term %d, with a configuration of index %d", m.Meta.Index, m.Meta.Term, m.Meta.ConfigurationIndex)
	case len(m.Meta.Configuration) > maxConfiguration:
		return fmt.Errorf("configuration has %d bytes", len(m.Meta.Configuration))
	case len(m.Files) == 0 || len(m.Files) > maxFiles:
		return fmt.Errorf("checkpoint has %d files, not 1 to %d", len(m.Files), maxFiles)
	}
	var total int64
	for i, f := range m.Files {
		if err := consensus.CheckFileName(f.Name); err != nil {
			return err
		}
		if i > 0 && m.Files[i-1].Name >= f.Name {
			return fmt.Errorf("file %q is twice there or out of order", f.Name)
		}
		if f.Size < 0 || f.Size > math.MaxInt64-total {
			return fmt.Errorf("file %q has an absurd size of %d bytes", f.Name, f.Size)
		}
		total += f.Size
	}
	return nil
}

// manifestMagic begins the file that holds a manifest:
//
//	"hawsrft1"  source  body  SHA-256 of all before (32 bytes)
//	body = id  index  term  configuration  configuration-index  count  file...
//	file = name  size  SHA-256 (32 bytes)
//
// Texts have their length before them; numbers are uvarints.
const manifestMagic = "hawsrft1"

func (m *Manifest) encode() []byte {
	b := appendText([]byte(manifestMagic), m.Source)
	b = m.body(b)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func (m *Manifest) body(b []byte) []byte {
	b = appendText(b, m.ID)
	b = binary.AppendUvarint(b, m.Meta.Index)
	b = binary.AppendUvarint(b, m.Meta.Term)
	b = appendText(b, string(m.Meta.Configuration))
	b = binary.AppendUvarint(b, m.Meta.ConfigurationIndex)
	b = binary.AppendUvarint(b, uint64(len(m.Files)))
	for i := range m.Files {
		f := &m.Files[i]
		b = appendText(b, f.Name)
		b = binary.AppendUvarint(b, uint64(f.Size))
		b = append(b, f.Sum[:]...)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeManifest reads what encode wrote. What it returns passes Check.
func decodeManifest(b []byte) (*Manifest, error) {
	end := len(b) - sha256.Size
	if end < len(manifestMagic) || string(b[:len(manifestMagic)]) != manifestMagic {
		return nil, errors.New("not a manifest")
	}
	if sha256.Sum256(b[:end]) != [sha256.Size]byte(b[end:]) {
		return nil, errors.New("manifest's checksum does not match")
	}
	r := &reader{b: b[len(manifestMagic):end]}
	m := &Manifest{Source: r.text(maxID), ID: r.text(maxID)}
	m.Meta.Index, m.Meta.Term = r.number(), r.number()
	m.Meta.Configuration = []byte(r.text(maxConfiguration))
	m.Meta.ConfigurationIndex = r.number()
	for n := r.number(); n > 0 && !r.failed; n-- {
		f := File{Name: r.text(maxName), Size: int64(r.number())}
		copy(f.Sum[:], r.take(sha256.Size))
		m.Files = append(m.Files, f)
	}
	if r.failed || len(r.b) != 0 {
		return nil, errors.New("manifest is malformed")
	}
	return m, m.Check()
}

// reader reads a manifest. After a failure it returns zero values.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) take(n uint64) []byte {
	if r.failed || n > uint64(len(r.b)) {
		r.failed = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if r.failed || n <= 0 {
		r.failed = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) text(limit uint64) string {
	n := r.number()
	if n > limit {
		r.failed = true
	}
	return string(r.take(n))
}
