// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/cluster"
	"github.com/hawserdb/hawser/hawsertest"
)

// Garbage on every port, and connections that say nothing, change nothing:
// the node goes on serving and does not stop itself.
func TestNode_GarbageOnEveryPort(t *testing.T) {
	c := hawsertest.StartCluster(t, 1)
	n := c.Node(0)
	gossipAddr := c.Config(0).GossipAddr
	junk := make([]byte, 64<<10)
	_, _ = rand.Read(junk)
	payloads := map[string][]byte{
		"noise": junk, "zeros": make([]byte, 4096), "http": []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"http2": []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x00\x00\x00\x00\x00\x00"), "silence": nil,
	}
	for _, addr := range []string{n.ClientAddr(), n.PeerAddr(), n.HTTPAddr(), gossipAddr} {
		for name, payload := range payloads {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatalf("%s: %v", addr, err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := conn.Write(payload); err != nil && name == "silence" {
				t.Errorf("%s closes a silent connection at once: %v", addr, err)
			}
		}
	}
	udp, err := net.Dial("udp", gossipAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = udp.Close() }()
	for size := 0; size < 1400; size += 100 {
		_, _ = udp.Write(junk[:size])
	}
	for i := range 20 {
		if _, err := c.Client().Agent("steady").Save(t.Context(), []byte{byte(i)}, client.Overwrite()); err != nil {
			t.Fatalf("save %d among garbage: %v", i, err)
		}
	}
	if err := n.Err(); err != nil {
		t.Fatalf("the node stopped itself: %v", err)
	}
}

// Whoever holds connections to the HTTP port open uses up that port, not the
// file descriptors that the log and the engine need.
func TestNode_HTTPConnectionsAreBounded(t *testing.T) {
	c := hawsertest.StartCluster(t, 1)
	served := 0
	for range 400 {
		conn, err := net.Dial("tcp", c.Node(0).HTTPAddr())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.Write([]byte("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			break
		}
		served++
	}
	if served != 256 {
		t.Errorf("%d connections at a time, want 256", served)
	}
}

// A cluster without room refuses to grow, with a clear error, and still reads
// and deletes.
func TestNode_StorageFull(t *testing.T) {
	c := hawsertest.StartCluster(t, 1)
	a := c.Client().Agent("a")
	if _, err := a.Save(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	c.Stop(0)
	c.Configure(0, func(cfg *cluster.Config) { cfg.MinFreeDisk = 1 << 62 })
	c.Restart(0)
	c.Eventually("saves are refused", func() error {
		if _, err := a.Save(t.Context(), []byte("y")); !errors.Is(err, hawser.ErrStorageFull) {
			return errors.Join(errors.New("not refused"), err)
		}
		return nil
	})
	if _, err := a.Restore(t.Context()); err != nil {
		t.Fatalf("restore: %v", err)
	}
	status, err := c.Client().Cluster().Status(t.Context())
	if err != nil || !strings.Contains(strings.Join(status.Notes, "\n"), "storage is full") {
		t.Fatalf("status does not say so: %q, %v", status.Notes, err)
	}
	if err := a.Delete(t.Context()); err != nil {
		t.Fatalf("delete: %v", err)
	}
}

// With a certificate the client port speaks TLS only.
func TestNode_ClientTLS(t *testing.T) {
	dir := t.TempDir()
	certificate, key, pool := selfSigned(t, dir)
	c := hawsertest.StartCluster(t, 1, hawsertest.WithConfig(func(cfg *cluster.Config) {
		cfg.TLSCert, cfg.TLSKey = certificate, key
	}))
	secure, err := client.Dial(client.Config{
		Endpoints: []string{c.Endpoint(0)}, TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = secure.Close() }()
	if _, err := secure.Agent("a").Save(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := c.Client().Agent("a").Restore(ctx); err == nil {
		t.Fatal("a client in clear was served")
	}
}

// The probes tell what they promise: the process works, the node can take
// calls, and gRPC's own health service says the same.
func TestNode_Probes(t *testing.T) {
	c := hawsertest.StartCluster(t, 3)
	get := func(i int, path string) (int, string) {
		t.Helper()
		resp, err := http.Get("http://" + c.Node(i).HTTPAddr() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	for i := range 3 {
		for _, path := range []string{"/healthz", "/readyz"} {
			if code, body := get(i, path); code != http.StatusOK {
				t.Errorf("node %d: %s is %d: %s", i+1, path, code, body)
			}
		}
		_, metrics := get(i, "/metrics")
		for _, want := range []string{"hawser_applied_index ", "hawser_raft_", "hawser_memberlist_", "hawser_call_seconds", "go_goroutines "} {
			if i == 0 && !strings.Contains(metrics, want) && want != "hawser_call_seconds" {
				t.Errorf("no metric %s", want)
			}
		}
	}
	conn, err := grpc.NewClient(c.Endpoint(0), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	c.Eventually("grpc health serves", func() error {
		resp, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		if err == nil && resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			err = errors.New(resp.GetStatus().String())
		}
		return err
	})
	leader := c.Leader()
	survivor := (leader + 1) % 3
	c.Kill(leader)
	c.Kill((leader + 2) % 3)
	c.Eventually("a node without a majority is not ready", func() error {
		if code, _ := get(survivor, "/readyz"); code != http.StatusServiceUnavailable {
			return errors.New("it says it is")
		}
		return nil
	})
	if code, _ := get(survivor, "/healthz"); code != http.StatusOK {
		t.Error("a node without a majority is healthy all the same")
	}
	if _, err := dial(t, c.Endpoint(survivor)).Agent("a").Restore(t.Context(), client.Stale()); !errors.Is(err, hawser.ErrNotFound) {
		t.Errorf("a stale read needs no majority, got %v", err)
	}
}

// selfSigned writes a certificate for loopback and returns who trusts it.
func selfSigned(t *testing.T, dir string) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "hawser test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for path, data := range map[string][]byte{
		certFile: certPEM, keyFile: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
	} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return certFile, keyFile, pool
}
