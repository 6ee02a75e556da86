// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/hawserdb/hawser"
)

// A page token is base64url of
//
//	1 byte   format, 1
//	1 byte   kind of list
//	uvarint  generation
//	4 bytes  CRC-32C of the list's scope
//	rest     last item of the page before
//	4 bytes  CRC-32C of all before
//
// It is opaque to callers and good at any node. The checksums catch a token
// of another list and a damaged one; they are no protection against a forged
// one, which can only make a list start elsewhere.
type page struct {
	kind       pageKind
	generation hawser.Generation
	scope      string
}

type pageKind byte

const (
	pageAgents pageKind = iota + 1
	pageVersions
	pageMembers
	pageHoldings
	pageHealth
	pageFindings
	pageTransactions
	pageMessages
	pageCuts
	pageEffects
)

const (
	pageFormat = 1
	// maxPageToken is above any token that a node makes.
	maxPageToken = 2048
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// token returns the token of the page after last.
func (p page) token(last string) string {
	b := []byte{pageFormat, byte(p.kind)}
	b = binary.AppendUvarint(b, uint64(p.generation))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum([]byte(p.scope), castagnoli))
	b = append(b, last...)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return base64.RawURLEncoding.EncodeToString(b)
}

// parse returns the last item of the page before; an empty token gives "".
func (p page) parse(token string) (last string, err error) {
	if token == "" {
		return "", nil
	}
	bad := func(why string) (string, error) {
		return "", &hawser.Error{Code: hawser.CodeInvalid, Op: "list", Msg: "the page token " + why + "; start again without one"}
	}
	if len(token) > maxPageToken {
		return bad("is too long")
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < 4 {
		return bad("is not one of ours")
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum || len(body) < 2 || body[0] != pageFormat {
		return bad("is not one of ours")
	}
	generation, n := binary.Uvarint(body[2:])
	if n <= 0 || len(body) < 2+n+4 {
		return bad("is cut short")
	}
	if generation != uint64(p.generation) {
		return "", &hawser.Error{Code: hawser.CodeWrongGeneration, Op: "list", Msg: "the page token is of another life of this cluster; start again without one"}
	}
	scope := binary.BigEndian.Uint32(body[2+n:])
	if pageKind(body[1]) != p.kind || scope != crc32.Checksum([]byte(p.scope), castagnoli) {
		return bad("belongs to another list")
	}
	return string(body[2+n+4:]), nil
}

// pageOf returns the page of a list that follows token, as messages, and the
// token of the page after it, "" for none. find returns at most limit items
// after the last one of the page before, which name tells.
func pageOf[T any, M proto.Message](
	list page, token string, asked uint32, find func(after string, limit int) ([]T, error), message func(T) M, name func(T) string,
) (items []M, next string, err error) {
	after, err := list.parse(token)
	if err != nil {
		return nil, "", err
	}
	limit := pageLimit(asked)
	found, err := find(after, limit)
	if err != nil {
		return nil, "", err
	}
	for _, f := range found {
		items = append(items, message(f))
	}
	n := fitting(items)
	if n == limit || n < len(found) {
		next = list.token(name(found[n-1]))
	}
	return items[:n], next, nil
}

// pageLimit returns the number of items of a page for what the caller asked.
func pageLimit(asked uint32) int {
	if asked == 0 {
		return hawser.DefaultPage
	}
	return int(min(asked, hawser.MaxPage))
}

// maxPageBytes bounds a page beside the number of its items: a thousand
// versions with all the labels that are allowed would be too large a message.
const maxPageBytes = 2 << 20

// fitting returns how many of items go on one page, at least one if there is
// any.
func fitting[M proto.Message](items []M) int {
	size := 0
	for i, item := range items {
		if size += proto.Size(item); size > maxPageBytes && i > 0 {
			return i
		}
	}
	return len(items)
}

func numberText(n uint64) string { return strconv.FormatUint(n, 36) }

// numberOf reads numberText's form; "" gives 0.
func numberOf(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 36, 64)
	if err != nil {
		return 0, &hawser.Error{Code: hawser.CodeInvalid, Op: "list", Msg: "the page token is not one of ours; start again without one"}
	}
	return n, nil
}
