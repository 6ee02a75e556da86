// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/hawserdb/hawser"
)

func secretFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// Claim: what NewSecret prints LoadSecret reads, however the editor ended the
// file; two secrets differ; other long texts are secrets too.
func TestSecret_RoundTrip(t *testing.T) {
	s := NewSecret()
	if s == NewSecret() || !strings.HasPrefix(s, "hawser-secret-1:") {
		t.Fatalf("NewSecret = %q", s)
	}
	var first []byte
	for _, end := range []string{"", "\n", "\r\n", " \n\n"} {
		got, err := LoadSecret(secretFile(t, s+end, 0o600))
		if err != nil || len(got) != 32 {
			t.Fatalf("with ending %q: %d bytes, %v", end, len(got), err)
		}
		if first == nil {
			first = got
		}
		if !bytes.Equal(first, got) {
			t.Errorf("ending %q makes another secret", end)
		}
	}
	own := "correct horse battery staple, and some more"
	if got, err := LoadSecret(secretFile(t, own+"\n", 0o400)); err != nil || string(got) != own {
		t.Errorf("an own text: %q, %v", got, err)
	}
}

// Claim: unusable files are refused with the path and the reason, matching
// ErrInvalid, and without any part of their content.
func TestLoadSecret_Refuses(t *testing.T) {
	s := NewSecret()
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"empty":       {"", 0o600, "is empty"},
		"blank":       {" \n\n", 0o600, "is empty"},
		"short":       {"hunter2-hunter2-hunter2", 0o600, "shorter than 32"},
		"cut off":     {s[:len(s)-1], 0o600, "cut off"},
		"too long":    {s + "A", 0o600, "cut off"},
		"damaged":     {s[:20] + "!" + s[21:], 0o600, "damaged"},
		"prefix only": {"hawser-secret-1:", 0o600, "cut off"},
		"two lines":   {s + "\n" + s, 0o600, "more than one line"},
		"binary":      {s + "\x00", 0o600, "more than one line"},
		"dull":        {strings.Repeat("x", 64), 0o600, "repeats"},
		"huge":        {strings.Repeat("elephant", 1000), 0o600, "not a secret file"},
		"group":       {s, 0o640, "chmod 600"},
		"others":      {s, 0o604, "chmod 600"},
		"writable":    {s, 0o622, "chmod 600"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.mode&0o077 != 0 && runtime.GOOS == "windows" {
				t.Skip("windows has no such modes")
			}
			path := secretFile(t, c.text, c.mode)
			got, err := LoadSecret(path)
			if got != nil || !errors.Is(err, hawser.ErrInvalid) && hawser.CodeOf(err) != hawser.CodeInvalid {
				t.Fatalf("LoadSecret = %q, %v", got, err)
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %q does not hold %q and the path", err, c.want)
			}
			for _, part := range []string{"hunter2", s[16:30], "elephant"} {
				if len(c.text) > 0 && strings.Contains(err.Error(), part) {
					t.Errorf("the error shows the secret: %v", err)
				}
			}
		})
	}
	if _, err := LoadSecret(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := LoadSecret(t.TempDir()); err == nil {
		t.Error("a directory is a secret")
	}
}

// Claim: the gossip key never changes for a secret (nodes of different
// versions must agree) and differs between secrets.
func TestGossipKey_IsStable(t *testing.T) {
	const want = "73d38498a092194a7f10390f6dbe1db55cdcb31fac3dffa114bff2c59fb55474"
	if got := hex.EncodeToString(GossipKey(testSecret)); got != want {
		t.Errorf("GossipKey = %s, want %s", got, want)
	}
	if bytes.Equal(GossipKey(testSecret), GossipKey(testSecret[1:])) {
		t.Error("two secrets have one key")
	}
}

// Claim: no text makes the parser panic or return a short secret, and errors
// never repeat it.
func FuzzSecret(f *testing.F) {
	f.Add([]byte("hawser-secret-1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n"))
	f.Add([]byte("hawser-secret-1:"))
	f.Add([]byte("a sentence that is longer than thirty-two bytes"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := parseSecret(text)
		if err == nil && len(got) < secretSize {
			t.Fatalf("a secret of %d bytes", len(got))
		}
	})
}
