// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const (
	// alpn keeps other TLS programs and this port apart before any byte of ours.
	alpn     = "hawser-peer"
	ekmLabel = "EXPORTER-hawser-peer-1"
	ekmSize  = 32

	proofSize = sha256.Size
)

// role separates the two proofs of a handshake.
type role string

const (
	roleDialer   role = "hawser peer 1 dialer\x00"
	roleAcceptor role = "hawser peer 1 acceptor\x00"
)

// ephemeralCertificate returns a certificate that lives as long as the
// process. TLS needs one; nobody verifies it.
func ephemeralCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make peer certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Unix(1<<34, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make peer certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// tlsConfigs returns the configurations of the accepting and the dialing
// side. Session tickets are off: a resumed session would send bytes of its
// own after the handshake.
func tlsConfigs() (server, client *tls.Config, err error) {
	cert, err := ephemeralCertificate()
	if err != nil {
		return nil, nil, err
	}
	server = &tls.Config{
		Certificates:           []tls.Certificate{cert},
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{alpn},
		SessionTicketsDisabled: true,
	}
	client = &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{alpn},
		SessionTicketsDisabled: true,
		InsecureSkipVerify:     true, // the proofs authenticate both sides and this very session
	}
	return server, client, nil
}

// sessionKey returns the keying material of an established session.
func sessionKey(c *tls.Conn) ([]byte, error) {
	state := c.ConnectionState()
	if state.Version != tls.VersionTLS13 || state.NegotiatedProtocol != alpn {
		return nil, errNotHawser
	}
	ekm, err := state.ExportKeyingMaterial(ekmLabel, nil, ekmSize)
	if err != nil {
		return nil, fmt.Errorf("export keying material: %w", err)
	}
	return ekm, nil
}

// transcript is what both sides prove to have seen.
type transcript struct {
	ekm              []byte
	dialer, acceptor [helloSize]byte
}

// prove returns the proof of one role.
func (t *transcript) prove(secret []byte, r role) [proofSize]byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(r))
	mac.Write(t.ekm)
	mac.Write(t.dialer[:])
	mac.Write(t.acceptor[:])
	return [proofSize]byte(mac.Sum(nil))
}

var errBadProof = errors.New("the other side does not know the cluster secret")

// verify compares a proof of role r in constant time.
func (t *transcript) verify(secret []byte, r role, proof []byte) error {
	want := t.prove(secret, r)
	if !hmac.Equal(want[:], proof) {
		return errBadProof
	}
	return nil
}
