// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
)

// collector takes the parts of one content as they come and verifies them: a
// keyframe in constant memory, a delta, which is short, as a whole.
type collector struct {
	command *fsm.Save
	// vote has a delta rebuilt and hashed.
	vote bool
	// announced is the number of parts, 0 if it was not said.
	announced uint32
	verifier  *record.Verifier // of a keyframe
	delta     []byte
	parts     uint32
	last      int // length of the newest part
	// first is the first part until a second one comes: a content of one part
	// is not staged but goes inline.
	first []byte
}

func newCollector(command *fsm.Save, announced uint32) (*collector, error) {
	c := &collector{command: command, announced: announced}
	if command.Base != nil {
		return c, nil
	}
	verifier, err := record.NewVerifier(command.Content, hawser.MaxStateSize)
	c.verifier = verifier
	return c, mismatched(command, err)
}

// close frees what the collector holds. It may be called at any time.
func (c *collector) close() {
	if c.verifier != nil {
		c.verifier.Close()
	}
}

// take takes the next part and returns those that are to be staged now.
func (c *collector) take(part []byte) (ready [][]byte, err error) {
	switch {
	case len(part) == 0 || len(part) > record.PartSize:
		return nil, invalidSave(c.command.Agent, "a part of %d bytes, 1 to %d are possible", len(part), record.PartSize)
	case c.parts > 0 && c.last < record.PartSize:
		return nil, invalidSave(c.command.Agent, "a part of %d bytes before another one", c.last)
	case c.parts == record.MaxParts || c.announced > 0 && c.parts == c.announced:
		return nil, invalidSave(c.command.Agent, "more than %d parts", c.parts)
	}
	c.parts, c.last = c.parts+1, len(part)
	if c.verifier == nil {
		if uint64(len(c.delta)+len(part)) > c.command.Content.Size {
			return nil, invalidSave(c.command.Agent, "a delta of more bytes than the %d declared", c.command.Content.Size)
		}
		c.delta = append(c.delta, part...)
	} else if _, err := c.verifier.Write(part); err != nil {
		return nil, mismatched(c.command, err)
	}
	switch c.parts {
	case 1:
		c.first = part
		return nil, nil
	case 2:
		ready = append(ready, c.first)
		c.first = nil
	}
	return append(ready, part), nil
}

// finish verifies the whole and completes the command's content, inline if it
// has one part at most.
func (c *collector) finish(ctx context.Context, b *Backend, end *hawserv1.PartsEnd) error {
	if end.GetParts() != c.parts || c.announced > 0 && c.announced != c.parts {
		return invalidSave(c.command.Agent, "%d parts came, of %d", c.parts, max(end.GetParts(), c.announced))
	}
	content := &c.command.Content
	content.CRC32C = end.GetCrc32C()
	if c.verifier != nil {
		if err := c.verifier.Finish(content.CRC32C, c.command.SHA256); err != nil {
			return mismatched(c.command, err)
		}
	} else {
		content.Data = c.delta
		if err := b.checkDelta(c.command); err != nil {
			return err
		}
		if c.vote {
			if err := b.rebuildVote(ctx, c.command); err != nil {
				return err
			}
		}
	}
	if c.parts > 1 {
		content.Parts, content.Data = c.parts, nil
	} else {
		content.Data = c.first
	}
	return nil
}
