// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/hawserdb/hawser"
)

const (
	secretPrefix  = "hawser-secret-1:"
	secretSize    = 32
	maxSecretFile = 4 << 10
	gossipKeyInfo = "hawser gossip key 1"
)

var secretEncoding = base64.RawURLEncoding.Strict()

// NewSecret returns a new cluster secret of 32 random bytes in its printed
// form, which [LoadSecret] reads from a file.
func NewSecret() string {
	var b [secretSize]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	return secretPrefix + secretEncoding.EncodeToString(b[:])
}

// LoadSecret reads a cluster secret from a file: the output of [NewSecret],
// or any other single line of at least 32 characters. It refuses a file that
// group or others may access (not on Windows) and a secret that is empty,
// short or cut off. Errors match [hawser.ErrInvalid] and never hold any part
// of the secret.
func LoadSecret(path string) ([]byte, error) {
	text, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	secret, err := parseSecret(text)
	if err != nil {
		return nil, secretError(path, err)
	}
	return secret, nil
}

func readSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, secretError(path, err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, secretError(path, err)
	}
	if info.IsDir() {
		return nil, secretError(path, errors.New("is a directory"))
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return nil, secretError(path, fmt.Errorf("mode is %04o: others than its owner may access it; run chmod 600 on it", mode))
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return nil, secretError(path, err)
	}
	if len(text) > maxSecretFile {
		return nil, secretError(path, fmt.Errorf("is larger than %d bytes: not a secret file", maxSecretFile))
	}
	return text, nil
}

func secretError(path string, err error) error {
	return &hawser.Error{Code: hawser.CodeInvalid, Op: "cluster secret file", Key: path, Msg: "unusable", Err: err}
}

// parseSecret returns the secret of a file's text.
func parseSecret(text []byte) ([]byte, error) {
	text = bytes.TrimRight(text, " \t\r\n")
	switch {
	case len(text) == 0:
		return nil, errors.New("is empty; make one with: hawser secret generate")
	case bytes.ContainsAny(text, "\r\n\x00"):
		return nil, errors.New("holds more than one line of text")
	}
	if encoded, ok := bytes.CutPrefix(text, []byte(secretPrefix)); ok {
		secret := make([]byte, secretEncoding.DecodedLen(len(encoded)))
		n, err := secretEncoding.Decode(secret, encoded)
		if err != nil || n != secretSize {
			return nil, errors.New("is damaged or cut off; copy it whole")
		}
		return secret, nil
	}
	if err := checkSecret(text); err != nil {
		return nil, err
	}
	return bytes.Clone(text), nil
}

// checkSecret refuses what cannot hold enough entropy. It does not measure
// entropy: a long guessable sentence passes.
func checkSecret(secret []byte) error {
	if len(secret) < secretSize {
		return fmt.Errorf("is shorter than %d bytes; make one with: hawser secret generate", secretSize)
	}
	distinct := map[byte]struct{}{}
	for _, c := range secret {
		distinct[c] = struct{}{}
	}
	if len(distinct) < 8 {
		return errors.New("repeats the same few characters; make one with: hawser secret generate")
	}
	return nil
}

// GossipKey derives the 32-byte key of gossip from the secret. The secret
// cannot be computed from it.
func GossipKey(secret []byte) []byte {
	key, err := hkdf.Key(sha256.New, secret, nil, gossipKeyInfo, 32)
	if err != nil {
		panic("hkdf refuses 32 bytes of SHA-256: " + err.Error()) // not possible for this length
	}
	return key
}
