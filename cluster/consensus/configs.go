// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"fmt"
	"slices"

	"github.com/hashicorp/raft"
)

// Configuration is who belongs to the cluster.
type Configuration struct {
	// Index is the log entry that made it; 0 if there is none yet.
	Index   uint64
	Servers []Server
}

// Server is a member.
type Server struct {
	ID string
	// Voter is false for a standby.
	Voter bool
}

// Voters returns the ids of the members that vote, in the configuration's order.
func (c Configuration) Voters() []string {
	var ids []string
	for _, s := range c.Servers {
		if s.Voter {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// configMark is a configuration and the entry that made it.
type configMark struct {
	index uint64
	conf  raft.Configuration
}

func (m configMark) export() Configuration {
	c := Configuration{Index: m.index}
	for _, s := range m.conf.Servers {
		c.Servers = append(c.Servers, Server{ID: string(s.ID), Voter: s.Suffrage == raft.Voter})
	}
	return c
}

// configs are the configurations in the log, oldest first, after the one that
// the machine has. raft does not tell the index of the latest one, which a
// conditional change of it needs.
type configs []configMark

// note takes up l if it is a configuration.
func (c *configs) note(l *raft.Log) {
	if l.Type != raft.LogConfiguration {
		return
	}
	conf, err := decodeConfiguration(l.Data)
	if err != nil {
		return // raft itself cannot decode it either and says so
	}
	*c = append(*c, configMark{l.Index, conf})
}

// truncate forgets the configurations at and after index.
func (c *configs) truncate(index uint64) {
	*c = slices.DeleteFunc(*c, func(m configMark) bool { return m.index >= index })
}

// committed forgets the configurations before the one of index.
func (c *configs) committed(index uint64) {
	i := slices.IndexFunc(*c, func(m configMark) bool { return m.index == index })
	if i > 0 {
		*c = slices.Delete(*c, 0, i)
	}
}

func (c configs) latest() configMark {
	if len(c) == 0 {
		return configMark{}
	}
	return c[len(c)-1]
}

// decodeConfiguration is raft.DecodeConfiguration without its panic.
func decodeConfiguration(data []byte) (conf raft.Configuration, err error) {
	defer func() {
		if p := recover(); p != nil {
			conf, err = raft.Configuration{}, fmt.Errorf("decode configuration of %d bytes: %v", len(data), p)
		}
	}()
	if len(data) == 0 {
		return raft.Configuration{}, nil
	}
	return raft.DecodeConfiguration(data), nil
}
