// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Codec makes bytes of a state, and the other way round. It is for concurrent use.
type Codec interface {
	Encode(state any) ([]byte, error)
	// Decode decodes into what state points to.
	Decode(data []byte, state any) error
	// ContentType is recorded with each version.
	ContentType() string
}

// JSON is the codec that is used unless another one is given. Fields that the type
// does not have are ignored.
var JSON Codec = jsonCodec{}

type jsonCodec struct{}

func (jsonCodec) Encode(state any) ([]byte, error)    { return json.Marshal(state) }
func (jsonCodec) Decode(data []byte, state any) error { return json.Unmarshal(data, state) }
func (jsonCodec) ContentType() string                 { return "application/json" }

// Migration makes the encoded state of one schema of that of another one. It may be
// called again for the same data, and must not keep it.
type Migration struct {
	From, To string
	Migrate  func(data []byte) ([]byte, error)
}

// SchemaError is a version of a schema from which no migration leads to the one of
// this build: it was written by a newer build, or by another program.
type SchemaError struct {
	Agent        string
	Version      uint64
	Schema, Want string
}

// Error implements error.
func (e *SchemaError) Error() string {
	return fmt.Sprintf("agent %q: version %d has schema %q, and no migration leads from it to %q; run the build that wrote it, or register one",
		e.Agent, e.Version, e.Schema, e.Want)
}

// unsoundError is content that is whole, and with which the agent cannot go on.
type unsoundError struct{ error }

// Unwrap returns the cause.
func (e unsoundError) Unwrap() error { return e.error }

func unsound(what string, err error) error { return unsoundError{fmt.Errorf("%s: %w", what, err)} }

// path returns the migrations from one schema to another, the fewest; false when
// there are none.
func path(migrations []Migration, from, to string) ([]Migration, bool) {
	type way struct {
		at    string
		steps []Migration
	}
	seen := map[string]bool{from: true}
	for ways := []way{{at: from}}; len(ways) > 0; ways = ways[1:] {
		w := ways[0]
		if w.at == to {
			return w.steps, true
		}
		for _, m := range migrations {
			if m.From == w.at && !seen[m.To] {
				seen[m.To] = true
				ways = append(ways, way{m.To, append(slices.Clip(w.steps), m)})
			}
		}
	}
	return nil, false
}

// decode makes a state of a version's content. It fails with an unsoundError or a
// *SchemaError.
func decode[S any](cfg *Config[S], version uint64, schema string, data []byte) (*S, error) {
	steps, ok := path(cfg.Migrations, schema, cfg.Schema)
	if !ok {
		return nil, &SchemaError{Agent: cfg.Name, Version: version, Schema: schema, Want: cfg.Schema}
	}
	for _, m := range steps {
		var err error
		if data, err = m.Migrate(data); err != nil {
			return nil, unsound(fmt.Sprintf("migrate from schema %q to %q", m.From, m.To), err)
		}
	}
	state := new(S)
	if err := cfg.Codec.Decode(data, state); err != nil {
		return nil, unsound("decode", err)
	}
	if cfg.Check == nil {
		return state, nil
	}
	if err := cfg.Check(state); err != nil {
		return nil, unsound("check", err)
	}
	return state, nil
}
