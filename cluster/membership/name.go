// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/hawserdb/hawser"
)

const (
	// MaxNodeName is the longest node name in bytes.
	MaxNodeName = 48
	// MaxMembers is the most members of a cluster, standbys included.
	MaxMembers = 64

	maxAddress = 256
	idSuffix   = 9 // "-" and 8 hex digits
)

// Address is a node and where its peer port is.
type Address struct {
	// ID is the ServerID, "name-xxxxxxxx".
	ID string `json:"id"`
	// Peer is host:port in the form that [CanonicalAddress] returns.
	Peer string `json:"peer"`
}

// CheckNodeName returns an error that matches hawser.ErrInvalid unless name is
// 1 to 48 bytes of lower-case letters, digits and '-', with no '-' at either end.
func CheckNodeName(name string) error {
	why := ""
	switch {
	case name == "":
		why = "is empty; choose one with --name"
	case len(name) > MaxNodeName:
		name, why = name[:MaxNodeName]+"...", "is longer than 48 bytes"
	case name[0] == '-' || name[len(name)-1] == '-':
		why = "may not begin or end with '-'"
	default:
		for i := range len(name) {
			if !isNameByte(name[i]) {
				why = "may hold only a-z, 0-9 and '-'"
			}
		}
	}
	if why == "" {
		return nil
	}
	return &hawser.Error{Code: hawser.CodeInvalid, Op: "node name", Key: name, Msg: why}
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-'
}

// CheckNodeID returns an error that matches hawser.ErrInvalid unless id is a
// node name, '-' and 8 lower-case hex digits.
func CheckNodeID(id string) error {
	name := NodeName(id)
	if name == "" || CheckNodeName(name) != nil {
		if len(id) > MaxNodeName+idSuffix {
			id = id[:MaxNodeName+idSuffix] + "..."
		}
		return &hawser.Error{Code: hawser.CodeInvalid, Op: "node id", Key: id, Msg: "is not a name, '-' and 8 hex digits"}
	}
	return nil
}

// NodeName returns the name in a ServerID, or "" if id does not look like one.
func NodeName(id string) string {
	cut := len(id) - idSuffix
	if cut <= 0 || id[cut] != '-' {
		return ""
	}
	for _, c := range []byte(id[cut+1:]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ""
		}
	}
	return id[:cut]
}

// newNodeID mints the ServerID of a new data directory.
func newNodeID(name string) string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return name + "-" + hex.EncodeToString(b[:])
}

// CanonicalAddress returns host:port in its one spelling: the host in lower
// case, IP addresses in their shortest form, the port as a plain number. Errors
// match hawser.ErrInvalid: an address that is not host:port, or that nobody can
// dial (no host, an unspecified host, port 0).
func CanonicalAddress(addr string) (string, error) {
	bad := func(why string) (string, error) {
		if len(addr) > maxAddress {
			addr = addr[:maxAddress] + "..."
		}
		return "", &hawser.Error{Code: hawser.CodeInvalid, Op: "peer address", Key: addr, Msg: why}
	}
	if len(addr) > maxAddress {
		return bad("is longer than 256 bytes")
	}
	host, portText, err := net.SplitHostPort(strings.TrimSpace(addr))
	if err != nil {
		return bad("is not host:port")
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return bad("needs a port from 1 to 65535")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		if ip.IsUnspecified() {
			return bad("stands for every address of a host; name the one that other nodes can dial")
		}
		host = ip.String()
	} else if host = strings.ToLower(host); !isHostName(host) {
		return bad("has no valid host name or IP address")
	}
	return net.JoinHostPort(host, strconv.FormatUint(port, 10)), nil
}

func isHostName(host string) bool {
	for _, c := range []byte(host) {
		if !isNameByte(c) && c != '.' && c != '_' {
			return false
		}
	}
	return host != "" && host[0] != '-' && host[0] != '.'
}

// checkAddress verifies both parts of a, which must already be canonical.
func checkAddress(a Address) error {
	if err := CheckNodeID(a.ID); err != nil {
		return err
	}
	canonical, err := CanonicalAddress(a.Peer)
	if err != nil {
		return err
	}
	if canonical != a.Peer {
		return fmt.Errorf("peer address %q is not in canonical form %q", a.Peer, canonical)
	}
	return nil
}
