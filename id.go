// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// DefaultNamespace is the namespace of agents that name none.
const DefaultNamespace = "default"

// AgentID names an agent: who it is, not which process runs it. Make one with
// [NewAgentID]; the zero value names nothing. Values are
// comparable, and equal values name the same agent.
type AgentID struct {
	// Namespace isolates agents of different teams or purposes.
	Namespace string
	// Name is 1 to 512 bytes of UTF-8 in normal form C, segments separated
	// by slashes.
	Name string
}

// NewAgentID returns the agent namespace/name. An empty namespace means
// [DefaultNamespace]; the name is brought to Unicode normal form C, so that
// one name has one spelling. Errors match [ErrInvalid].
func NewAgentID(namespace, name string) (AgentID, error) {
	if namespace == "" {
		namespace = DefaultNamespace
	}
	if err := CheckNamespace(namespace); err != nil {
		return AgentID{}, err
	}
	if utf8.ValidString(name) && len(name) <= MaxAgentName {
		name = norm.NFC.String(name)
	}
	if err := checkName(name); err != nil {
		return AgentID{}, err
	}
	return AgentID{Namespace: namespace, Name: name}, nil
}

// String returns "namespace/name". It is for people; programs keep the two
// fields.
func (a AgentID) String() string { return a.Namespace + "/" + a.Name }

// IsZero reports whether a names nothing.
func (a AgentID) IsZero() bool { return a == AgentID{} }

// CheckNamespace returns an error that matches [ErrInvalid] unless ns is 1 to
// 64 bytes of lower-case letters, digits, '-', '_' and '.', and starts with a
// letter or digit.
func CheckNamespace(ns string) error {
	switch {
	case ns == "":
		return invalid("namespace", ns, "is empty")
	case len(ns) > MaxNamespace:
		return invalid("namespace", ns[:MaxNamespace]+"...", "is longer than 64 bytes")
	}
	for i := range len(ns) {
		c := ns[i]
		alnum := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !alnum && (i == 0 || !strings.ContainsRune("-_.", rune(c))) {
			return invalid("namespace", ns, "may hold only a-z, 0-9, '-', '_' and '.', and starts with a letter or digit")
		}
	}
	return nil
}

// NewPrefix returns prefix in Unicode normal form C, as names are, or an error
// that matches [ErrInvalid] if it cannot start an agent name at a segment
// boundary. Empty is every agent.
func NewPrefix(prefix string) (string, error) {
	if prefix == "" {
		return "", nil
	}
	if utf8.ValidString(prefix) && len(prefix) <= MaxAgentName {
		prefix = norm.NFC.String(prefix)
	}
	return prefix, checkName(strings.TrimSuffix(prefix, "/"))
}

func checkName(name string) error {
	switch {
	case name == "":
		return invalid("agent name", name, "is empty")
	case len(name) > MaxAgentName:
		return invalid("agent name", strings.ToValidUTF8(name[:64], "?")+"...", "is longer than 512 bytes")
	case !utf8.ValidString(name):
		return invalid("agent name", name, "is not UTF-8")
	}
	for _, r := range name {
		if unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return invalid("agent name", name, "holds a control or formatting character")
		}
	}
	for segment := range strings.SplitSeq(name, "/") {
		switch segment {
		case "":
			return invalid("agent name", name, "has an empty segment (a slash at either end, or two together)")
		case ".", "..":
			return invalid("agent name", name, "has a segment \".\" or \"..\"")
		}
	}
	return nil
}

func invalid(what, value, why string) error {
	return &Error{Code: CodeInvalid, Op: what, Key: value, Msg: why}
}
