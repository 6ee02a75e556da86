// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/hawserdb/hawser"
)

// maxStem keeps the name of a file below what file systems take.
const maxStem = 160

// fileName returns the name of the file for a version: the agent's name, of
// which only letters, digits, - and _ stay and every other byte becomes % and
// two hex digits, then @ and the number. A long name is cut and gets its hash.
// Nothing that an archive holds can make it leave the folder, hide, or be a
// device: it has no dot, no separator, and always an @.
func fileName(ref hawser.VersionRef) string {
	var stem strings.Builder
	for i := range len(ref.Agent.Name) {
		c := ref.Agent.Name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-' && i > 0, c == '_':
			stem.WriteByte(c)
		default:
			fmt.Fprintf(&stem, "%%%02X", c)
		}
	}
	name := stem.String()
	if len(name) > maxStem {
		sum := sha256.Sum256([]byte(ref.Agent.Name))
		name = name[:maxStem] + "~" + hex.EncodeToString(sum[:8])
	}
	return fmt.Sprintf("%s@%d", name, ref.Number)
}
