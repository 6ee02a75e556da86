// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"github.com/hawserdb/hawser/internal/durable"
)

// A checkpoint of the machine travels between replicas as a stream of files.
// All numbers are little-endian.
//
//	stream  = header  file...  trailer
//	header  = "hawsrck1"  count u32  crc u32
//	file    = name-length u16  name  size u64  crc u32  data[size]  crc u32
//	trailer = "hawsrend"  crc u32
//
// The crc of the header and of each file's head is over what precedes it in
// that part, the one after the data over the data, and the one of the trailer
// over the checksums of all files' data. All are CRC32C.
const (
	streamMagic   = "hawsrck1"
	streamEnd     = "hawsrend"
	headerSize    = 8 + 4 + 4
	trailerSize   = 8 + 4
	fileFrameSize = 2 + 8 + 4 + 4
	// maxStreamFiles bounds the files of a checkpoint: 2 TiB in files of the
	// engine's size.
	maxStreamFiles = 1 << 18
	maxFileName    = 128
)

// fileNames are the names that the engine gives the files of a checkpoint.
// Nothing else is ever created from a stream.
var fileNames = regexp.MustCompile(`^([0-9]{6,20}\.(sst|blob|log)|(MANIFEST|OPTIONS)-[0-9]{6,20}|CURRENT|marker\.[a-z-]{1,40}\.[0-9]{6,20}\.[A-Za-z0-9-]{1,60})$`)

// CheckFileName returns an error unless name is one that the engine gives a
// file of a checkpoint. Nothing else may be created from what another node
// sends.
func CheckFileName(name string) error {
	if len(name) > maxFileName || !fileNames.MatchString(name) {
		return fmt.Errorf("%q is not a file of a checkpoint", name)
	}
	return nil
}

// lockName is the engine's lock file, which is made when a checkpoint's meta
// data is read and is no part of it.
const lockName = "LOCK"

// streamFile is a file of a checkpoint.
type streamFile struct {
	name string
	size int64
}

// listCheckpoint returns the files in dir and the exact size of their stream.
func listCheckpoint(dir string) ([]streamFile, int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, 0, err
	}
	files, total := make([]streamFile, 0, len(entries)), int64(headerSize+trailerSize)
	for _, e := range entries {
		if e.Name() == lockName {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, 0, err
		}
		if err := CheckFileName(e.Name()); err != nil || !info.Mode().IsRegular() {
			return nil, 0, errors.Join(fmt.Errorf("checkpoint %s holds %q, which cannot be sent", dir, e.Name()), err)
		}
		files = append(files, streamFile{e.Name(), info.Size()})
		total += fileFrameSize + int64(len(e.Name())) + info.Size()
	}
	return files, total, nil
}

// writeStream writes the files in dir to w.
func writeStream(w io.Writer, dir string, files []streamFile) error {
	header := binary.LittleEndian.AppendUint32([]byte(streamMagic), uint32(len(files)))
	if _, err := w.Write(appendCRC(header)); err != nil {
		return err
	}
	var sums []byte
	for _, f := range files {
		sum, err := writeStreamFile(w, dir, f)
		if err != nil {
			return fmt.Errorf("send %s: %w", f.name, err)
		}
		sums = binary.LittleEndian.AppendUint32(sums, sum)
	}
	_, err := w.Write(binary.LittleEndian.AppendUint32([]byte(streamEnd), crc32.Checksum(sums, castagnoli)))
	return err
}

func writeStreamFile(w io.Writer, dir string, f streamFile) (uint32, error) {
	head := binary.LittleEndian.AppendUint16(nil, uint16(len(f.name)))
	head = append(head, f.name...)
	head = binary.LittleEndian.AppendUint64(head, uint64(f.size))
	if _, err := w.Write(appendCRC(head)); err != nil {
		return 0, err
	}
	src, err := os.Open(filepath.Join(dir, f.name))
	if err != nil {
		return 0, err
	}
	defer func() { _ = src.Close() }()
	sum := crc32.New(castagnoli)
	if _, err := io.CopyN(io.MultiWriter(w, sum), src, f.size); err != nil {
		return 0, err
	}
	_, err = w.Write(binary.LittleEndian.AppendUint32(nil, sum.Sum32()))
	return sum.Sum32(), err
}

func appendCRC(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// readStream writes the files of the stream r into dir, which exists and is
// empty, verifies them and makes them durable. It trusts nothing: whatever the
// stream says, only allowed names in dir are created, no more bytes written
// than were read, and memory stays constant. After an error the caller removes
// dir.
func readStream(r io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	count, err := readStreamHeader(r)
	if err != nil {
		return err
	}
	var sums []byte
	for range count {
		sum, err := readStreamFile(r, root)
		if err != nil {
			return err
		}
		sums = binary.LittleEndian.AppendUint32(sums, sum)
	}
	if err := readStreamTrailer(r, crc32.Checksum(sums, castagnoli)); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}

func readStreamHeader(r io.Reader) (uint32, error) {
	var b [headerSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, fmt.Errorf("read the stream's header: %w", err)
	}
	if err := checkCRC(b[:]); err != nil || string(b[:8]) != streamMagic {
		return 0, errors.Join(errors.New("not a checkpoint stream"), err)
	}
	count := binary.LittleEndian.Uint32(b[8:])
	if count > maxStreamFiles {
		return 0, fmt.Errorf("stream of %d files, at most %d are allowed", count, maxStreamFiles)
	}
	return count, nil
}

func readStreamFile(r io.Reader, root *os.Root) (uint32, error) {
	f, err := readFileHead(r)
	if err != nil {
		return 0, fmt.Errorf("read a file's head: %w", err)
	}
	dst, err := root.OpenFile(f.name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	sum := crc32.New(castagnoli)
	_, err = io.CopyN(io.MultiWriter(dst, sum), r, f.size)
	if err := errors.Join(err, dst.Sync(), dst.Close()); err != nil {
		return 0, fmt.Errorf("receive %s: %w", f.name, err)
	}
	var want [4]byte
	if _, err := io.ReadFull(r, want[:]); err != nil {
		return 0, fmt.Errorf("receive %s: %w", f.name, err)
	}
	if got := sum.Sum32(); got != binary.LittleEndian.Uint32(want[:]) {
		return 0, fmt.Errorf("receive %s: checksum is %08x, want %08x", f.name, got, want)
	}
	return sum.Sum32(), nil
}

func readFileHead(r io.Reader) (streamFile, error) {
	head := make([]byte, 2, 2+maxFileName+12)
	if _, err := io.ReadFull(r, head); err != nil {
		return streamFile{}, err
	}
	n := int(binary.LittleEndian.Uint16(head))
	if n > maxFileName {
		return streamFile{}, fmt.Errorf("name of %d bytes, at most %d are allowed", n, maxFileName)
	}
	head = head[:2+n+12]
	if _, err := io.ReadFull(r, head[2:]); err != nil {
		return streamFile{}, err
	}
	if err := checkCRC(head); err != nil {
		return streamFile{}, err
	}
	f := streamFile{name: string(head[2 : 2+n]), size: int64(binary.LittleEndian.Uint64(head[2+n:]))}
	if f.size < 0 {
		return streamFile{}, fmt.Errorf("%q: size is negative", f.name)
	}
	return f, CheckFileName(f.name)
}

func readStreamTrailer(r io.Reader, want uint32) error {
	var b [trailerSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return fmt.Errorf("read the stream's end: %w", err)
	}
	if got := binary.LittleEndian.Uint32(b[8:]); string(b[:8]) != streamEnd || got != want {
		return fmt.Errorf("stream's end: checksum is %08x, want %08x", got, want)
	}
	if n, err := io.ReadFull(r, b[:1]); n != 0 || !errors.Is(err, io.EOF) {
		return errors.Join(errors.New("stream goes on after its end"), err)
	}
	return nil
}

// checkCRC checks b's last four bytes, the checksum of those before.
func checkCRC(b []byte) error {
	n := len(b) - 4
	if got, want := crc32.Checksum(b[:n], castagnoli), binary.LittleEndian.Uint32(b[n:]); got != want {
		return fmt.Errorf("checksum is %08x, want %08x", got, want)
	}
	return nil
}
