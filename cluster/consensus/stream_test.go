// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeFiles(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func streamOf(t testing.TB, dir string) []byte {
	t.Helper()
	files, size, err := listCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := writeStream(&b, dir, files); err != nil {
		t.Fatal(err)
	}
	if int64(b.Len()) != size {
		t.Fatalf("stream has %d bytes, announced were %d", b.Len(), size)
	}
	return b.Bytes()
}

var sampleFiles = map[string]string{
	"000004.sst": strings.Repeat("table", 1000), "000007.blob": "blob", "MANIFEST-000001": "manifest", "OPTIONS-000003": "",
	"marker.manifest.000001.MANIFEST-000001": "", "marker.format-version.000012.024": "",
}

// A checkpoint arrives as it was sent.
func TestStream_RoundTrip(t *testing.T) {
	b := streamOf(t, writeFiles(t, sampleFiles))
	dir := t.TempDir()
	if err := readStream(bytes.NewReader(b), dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range sampleFiles {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// Every flipped bit and every cut is noticed.
func TestStream_NoticesEveryChange(t *testing.T) {
	b := streamOf(t, writeFiles(t, map[string]string{"000004.sst": "table of some length", "CURRENT": "x"}))
	for i := range b {
		changed := bytes.Clone(b)
		changed[i] ^= 1 << (i % 8)
		if readStream(bytes.NewReader(changed), t.TempDir()) == nil {
			t.Errorf("a flip in byte %d was not noticed", i)
		}
		if readStream(bytes.NewReader(b[:i]), t.TempDir()) == nil {
			t.Errorf("a cut at byte %d was not noticed", i)
		}
	}
	if readStream(bytes.NewReader(append(b, 0)), t.TempDir()) == nil {
		t.Error("a byte too many was not noticed")
	}
}

// hostile makes a stream of one file with valid checksums.
func hostile(name string, size uint64, data string) []byte {
	b := appendCRC(binary.LittleEndian.AppendUint32([]byte(streamMagic), 1))
	head := binary.LittleEndian.AppendUint16(nil, uint16(len(name)))
	head = binary.LittleEndian.AppendUint64(append(head, name...), size)
	b = append(append(b, appendCRC(head)...), data...)
	sum := binary.LittleEndian.AppendUint32(nil, crc32.Checksum([]byte(data), castagnoli))
	b = append(append(b, sum...), streamEnd...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(sum, castagnoli))
}

// A sender that lies about names or sizes writes nothing outside, and nothing
// that is not a file of a checkpoint.
func TestStream_TrustsNothing(t *testing.T) {
	if err := readStream(bytes.NewReader(hostile("000001.sst", 2, "ok")), t.TempDir()); err != nil {
		t.Fatal(err) // the forger works
	}
	for _, name := range []string{
		"../escaped", "/etc/escaped", "..", ".", "", "a/b", "000001.sst/../x", "000001.exe", "current", "LOCK",
		"000001.sst\x00", strings.Repeat("0", 200) + ".sst", "marker.a.000001./..", "CON",
	} {
		parent := t.TempDir()
		dir := filepath.Join(parent, "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := readStream(bytes.NewReader(hostile(name, 2, "ok")), dir); err == nil {
			t.Errorf("%q was taken", name)
		}
		for _, d := range []string{parent, dir} {
			left, err := os.ReadDir(d)
			if err != nil || len(left) > 1 || (d == dir && len(left) != 0) {
				t.Errorf("%q left %v, %v", name, left, err)
			}
		}
	}
	for _, size := range []uint64{1 << 63, 1<<63 - 1, 1 << 40} {
		if err := readStream(bytes.NewReader(hostile("000001.sst", size, "ok")), t.TempDir()); err == nil {
			t.Errorf("size %d was taken", size)
		}
	}
}

// What the engine cannot have made is not sent, loudly.
func TestStream_SendsOnlyWhatMayBeReceived(t *testing.T) {
	if _, _, err := listCheckpoint(writeFiles(t, map[string]string{"notes.txt": ""})); err == nil {
		t.Error("a stray file was listed")
	}
}

// No input makes the reader panic, escape its directory or write more than it
// read.
func FuzzReadStream(f *testing.F) {
	f.Add(hostile("000001.sst", 2, "ok"))
	f.Add(hostile("../x", 2, "ok"))
	f.Add([]byte(streamMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		parent := t.TempDir()
		dir := filepath.Join(parent, "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_ = readStream(bytes.NewReader(b), dir)
		left, err := os.ReadDir(parent)
		if err != nil || len(left) != 1 {
			t.Fatalf("%v, %v", left, err)
		}
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var total int64
		for _, e := range files {
			info, err := e.Info()
			if err != nil || CheckFileName(e.Name()) != nil {
				t.Fatalf("%q: %v", e.Name(), err)
			}
			total += info.Size()
		}
		if total > int64(len(b)) {
			t.Fatalf("wrote %d bytes of %d", total, len(b))
		}
	})
}
