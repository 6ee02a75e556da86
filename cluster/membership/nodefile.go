// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/hawserdb/hawser/internal/durable"
	"github.com/hawserdb/hawser/internal/halt"
)

// Store keeps a node's [State]. Its methods may be called concurrently.
type Store interface {
	// State returns a copy of the current state.
	State() State
	// Update calls change with a copy of the current state and makes the
	// result durable before it returns. Where change returns an error, or
	// changes nothing, nothing is written. change must not call the store.
	Update(change func(*State) error) error
}

const (
	nodeFileName    = "node.json"
	maxNodeFile     = 1 << 20
	checksumPrefix  = `{"checksum":"`
	checksumSuffix  = `","state":`
	checksumHexSize = 2 * sha256.Size
)

// NodeFile is the [Store] in node.json. Get it from [Directory.Node].
type NodeFile struct {
	path string
	halt halt.Func

	mu     sync.Mutex // held while the file is written: updates are rare, and must not overtake each other
	state  State
	broken error // a write failed: disk and memory may differ
}

// State implements [Store].
func (f *NodeFile) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.clone()
}

// Update implements [Store]. A write that fails is a *halt.Error, is given to
// the directory's halt function too, and makes every later update fail: what
// the disk holds is no longer known.
func (f *NodeFile) Update(change func(*State) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return f.broken
	}
	next := f.state.clone()
	if err := change(&next); err != nil {
		return err
	}
	before, err := encodeState(f.state)
	if err != nil {
		return err
	}
	after, err := encodeState(next)
	if err != nil {
		return fmt.Errorf("node state: %w", err)
	}
	if bytes.Equal(before, after) {
		return nil
	}
	if err := durable.WriteFile(f.path, after); err != nil {
		f.broken = &halt.Error{Reason: halt.Directory, Where: f.path, Err: err}
		if f.halt != nil {
			f.halt(f.broken)
		}
		return f.broken
	}
	f.state = next.clone()
	return nil
}

// encodeState returns the file form of s, or an error if s breaks a rule of
// its fields: {"checksum":"<sha-256 of everything but itself>","state":{...}}.
func encodeState(s State) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	body, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(checksumPrefix)
	b.WriteString(checksum(body))
	b.WriteString(checksumSuffix)
	b.Write(body)
	b.WriteString("}\n")
	return b.Bytes(), nil
}

func checksum(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

var (
	errDamaged = errors.New("does not match its checksum")
	errNewer   = errors.New("was written by a newer version")
)

// decodeState is the inverse of [encodeState]. It takes any input and finds
// every changed byte.
func decodeState(data []byte) (State, error) {
	body, ok := bytes.CutPrefix(data, []byte(checksumPrefix))
	if !ok || len(body) < checksumHexSize {
		return State{}, fmt.Errorf("%w: %d bytes that do not begin as they should", errDamaged, len(data))
	}
	sum := string(body[:checksumHexSize])
	body, ok = bytes.CutPrefix(body[checksumHexSize:], []byte(checksumSuffix))
	if !ok {
		return State{}, errDamaged
	}
	body, ok = bytes.CutSuffix(body, []byte("}\n"))
	if !ok || checksum(body) != sum {
		return State{}, errDamaged
	}
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(body, &head); err != nil {
		return State{}, err
	}
	if head.Format > format {
		return State{}, fmt.Errorf("%w: format %d, this binary knows up to %d", errNewer, head.Format, format)
	}
	var s State
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return State{}, err
	}
	return s, s.check()
}

// readState reads and decodes the node.json at path.
func readState(path string) (State, error) {
	f, err := os.Open(path)
	if err != nil {
		return State{}, &halt.Error{Reason: halt.Directory, Where: path, Err: err}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxNodeFile+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return State{}, &halt.Error{Reason: halt.Directory, Where: path, Err: err}
	}
	s, err := decodeState(data)
	switch {
	case errors.Is(err, errNewer):
		return State{}, &halt.Error{Reason: halt.Directory, Where: path, Err: err, Hint: "start it with the newer hawser"}
	case err != nil:
		return State{}, &halt.Error{
			Reason: halt.Damaged, Where: path, Err: err,
			Hint: "move the directory away and start with an empty one: the node joins again as a new one",
		}
	}
	return s, nil
}
