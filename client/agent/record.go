// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

// RecordPrefix is below what names the records of agents are kept: that of crew/a is
// the agent recovery/crew/a, whose versions are the decisions about it.
const RecordPrefix = "recovery/"

// Record is what was decided about an agent that has failed.
type Record struct {
	// Quarantined: nobody is to run it, for Reason, until somebody releases it.
	Quarantined bool   `json:"quarantined,omitempty"`
	Reason      string `json:"reason,omitempty"`
	// Last is the newest decision.
	Last Decision `json:"last"`
}

// Decision is one about an agent, and what it was made from.
type Decision struct {
	At time.Time `json:"at"`
	// By is the instance of the client that decided, or whom a person says to be.
	By string `json:"by,omitempty"`
	// Failure is its kind, Evidence what that was derived from.
	Failure  string   `json:"failure,omitempty"`
	Evidence []string `json:"evidence,omitempty"`
	// Action is what was done, Attempt how often in a row by now.
	Action  string `json:"action"`
	Attempt int    `json:"attempt,omitempty"`
	// Outcome is what came of it; empty while that is not known.
	Outcome string `json:"outcome,omitempty"`
	// Took is the time from the evidence to the outcome.
	Took time.Duration `json:"took,omitempty"`
}

// QuarantinedError is an agent that nobody is to run.
type QuarantinedError struct {
	Agent  string
	Record Record
}

// Error implements error.
func (e *QuarantinedError) Error() string {
	return fmt.Sprintf("agent %q is in quarantine since %s: %s; look at \"hawser agent events %s\", and end it with \"hawser agent release %s\"",
		e.Agent, e.Record.Last.At.UTC().Format(time.RFC3339), e.Record.Reason, e.Agent, e.Agent)
}

// ReadRecord returns the record of an agent, the zero value when nothing was ever
// decided about it.
func ReadRecord(ctx context.Context, c *client.Client, name string) (r Record, err error) {
	cp, err := c.Agent(RecordPrefix+name).Restore(ctx, client.WithoutMessages())
	if errors.Is(err, hawser.ErrNotFound) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	return r, decodeRecord(name, cp, &r)
}

func decodeRecord(name string, cp client.Checkpoint, r *Record) error {
	if err := json.Unmarshal(cp.State, r); err != nil {
		return fmt.Errorf("record of agent %q, version %d: %w", name, cp.Version.Number, err)
	}
	return nil
}

// String says what was decided, in a line.
func (d Decision) String() string {
	s := d.Action
	if d.Failure != "" {
		s += " because of " + d.Failure
	}
	if len(d.Evidence) > 0 {
		s += " (" + strings.Join(d.Evidence, "; ") + ")"
	}
	if d.Outcome != "" {
		s += ": " + d.Outcome
	}
	return s
}

// WriteRecord adds a decision to the record of an agent, and makes an event of it
// (hawser.EventRuntimeRecovery).
func WriteRecord(ctx context.Context, c *client.Client, name string, r Record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = c.Agent(RecordPrefix+name).Save(ctx, data, client.Overwrite(), client.ContentType("application/json"), client.Label("action", r.Last.Action))
	if err != nil {
		return err
	}
	return c.Agent(name).Note(ctx, hawser.EventRuntimeRecovery, 0, r.Last.String())
}

// Records returns the decisions about an agent, newest first, at most n.
func Records(ctx context.Context, c *client.Client, name string, n int) (records []Record, err error) {
	a := c.Agent(RecordPrefix + name)
	for v, err := range a.Versions(ctx, client.Limit(n)) {
		if errors.Is(err, hawser.ErrNotFound) {
			return records, nil
		}
		if err != nil {
			return records, err
		}
		cp, err := a.Restore(ctx, client.AtVersion(v.Number))
		if errors.Is(err, hawser.ErrVersionGone) {
			continue
		}
		var r Record
		if err == nil {
			err = decodeRecord(name, cp, &r)
		}
		if err != nil {
			return records, err
		}
		records = append(records, r)
	}
	return records, nil
}

// Quarantine keeps an agent from being run, until [Release]. One that runs goes on.
func Quarantine(ctx context.Context, c *client.Client, name, by, reason string) error {
	return WriteRecord(ctx, c, name, Record{Quarantined: true, Reason: reason, Last: Decision{At: time.Now(), By: by, Action: "quarantine"}})
}

// Release ends a quarantine.
func Release(ctx context.Context, c *client.Client, name, by, reason string) error {
	r, err := ReadRecord(ctx, c, name)
	if err != nil {
		return err
	}
	if !r.Quarantined {
		return &hawser.Error{Code: hawser.CodeRefused, Op: "release", Key: name, Msg: "it is not in quarantine"}
	}
	return WriteRecord(ctx, c, name, Record{Reason: reason, Last: Decision{At: time.Now(), By: by, Action: "release"}})
}
