// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/hawserdb/hawser/client/call"
)

// maxReceipt bounds what a bank says.
const maxReceipt = 1 << 10

// bank charges once for each idempotency key, as payment services do. It counts what
// it is asked for.
type bank struct {
	mu       sync.Mutex
	receipts map[string]string // by key; guarded by mu, as what follows
	asked    map[string]int    // by key
	charged  map[string]int    // by order: how often
	takes    time.Duration     // to answer
}

func newBank() *bank {
	return &bank{receipts: map[string]string{}, asked: map[string]int{}, charged: map[string]int{}}
}

func (b *bank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(b.takes)
	key := r.Header.Get("Idempotency-Key")
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked[key]++
	if b.receipts[key] == "" {
		b.charged[r.FormValue("order")]++
		b.receipts[key] = fmt.Sprintf("receipt %d", len(b.receipts)+1)
	}
	_, _ = io.WriteString(w, b.receipts[key])
}

// openBank opens a bank in this process. It says at the end what it has done.
func openBank() (address string, done func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	b := newBank()
	b.takes = 300 * time.Millisecond
	server := &http.Server{Handler: b, ReadHeaderTimeout: time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // until it is closed
	}()
	return "http://" + listener.Addr().String(), func() {
		_ = server.Close()
		<-served
		asked := 0
		for _, n := range b.asked {
			asked += n
		}
		fmt.Printf("the bank was asked %d times, and has charged %d orders\n", asked, len(b.charged))
	}, nil
}

// bankAt is the bank with this address. Until it has answered, nobody knows
// whether it has charged.
func bankAt(address string) func(ctx context.Context, key string, o order) ([]byte, error) {
	policy, err := call.New(call.Config{})
	if err != nil {
		panic(err) // the defaults make sense
	}
	c := &http.Client{Transport: policy.Transport(nil)}
	return func(ctx context.Context, key string, o order) ([]byte, error) {
		query := url.Values{"order": {o.ID}, "amount": {strconv.Itoa(o.Price)}}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"?"+query.Encode(), http.NoBody)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Idempotency-Key", key)
		resp, err := c.Do(req)
		if err != nil {
			return nil, err
		}
		defer func() { _ = resp.Body.Close() }()
		receipt, err := io.ReadAll(io.LimitReader(resp.Body, maxReceipt))
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("the bank says %s: %.200s", resp.Status, receipt)
		}
		return receipt, err
	}
}
