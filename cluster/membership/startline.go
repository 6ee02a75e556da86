// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hawserdb/hawser"
)

// MaxFounders is the most nodes that can found a cluster together.
const MaxFounders = 15

// StartLine is the set of peer addresses that found a cluster: ascending,
// canonical. Every founder must be started with the same. An empty one founds
// nothing.
type StartLine []string

// NewStartLine returns the start line of a node whose own advertised peer
// address is self and that is to found a cluster with peers, expect nodes in
// all. self may be among the peers or not. Errors match hawser.ErrInvalid.
func NewStartLine(expect int, self string, peers []string) (StartLine, error) {
	if expect < 1 || expect > MaxFounders {
		return nil, invalidStart("must be from 1 to %d, is %d", MaxFounders, expect)
	}
	var line StartLine
	for _, addr := range append([]string{self}, peers...) {
		canonical, err := CanonicalAddress(addr)
		if err != nil {
			return nil, err
		}
		line = append(line, canonical)
	}
	slices.Sort(line)
	line = slices.Compact(line)
	if len(line) != expect {
		return nil, invalidStart("is %d, but %d different peer addresses are given, this node's own included: %s", expect, len(line), line)
	}
	return line, nil
}

func invalidStart(format string, args ...any) error {
	return &hawser.Error{Code: hawser.CodeInvalid, Op: "bootstrap-expect", Msg: fmt.Sprintf(format, args...)}
}

// String returns the addresses, separated by commas.
func (l StartLine) String() string { return strings.Join(l, ",") }

// coordinator returns the address whose node coordinates.
func (l StartLine) coordinator() string { return l[0] }

func invalidJoin(msg string) error {
	return &hawser.Error{Code: hawser.CodeInvalid, Op: "join", Msg: msg}
}
