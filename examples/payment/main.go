// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Payment is an agent that pays once, whatever becomes of its process:
//
//	go run ./examples/payment bank                  # counts what it is asked for
//	go run ./examples/payment buy order-1 --die     # dies after the call, before it is recorded
//	go run ./examples/payment buy order-1           # goes on
//
// The bank recognises a second call by its key, as payment services do.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

const address = "127.0.0.1:7499"

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "bank":
		return bank()
	case len(args) >= 2 && args[0] == "buy":
		return buy(ctx, args[1], len(args) > 2 && args[2] == "--die")
	}
	return errors.New("usage: payment bank | payment buy ORDER [--die]")
}

// bank pays once for each key.
func bank() error {
	var mu sync.Mutex
	receipts := map[string]string{}
	server := &http.Server{Addr: address, ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		key := r.Header.Get("Idempotency-Key")
		what := "known already"
		if receipts[key] == "" {
			receipts[key], what = fmt.Sprintf("receipt %d", len(receipts)+1), "paid"
		}
		fmt.Printf("%s: %s, %s\n", key, what, receipts[key])
		_, _ = io.WriteString(w, receipts[key])
	})}
	return server.ListenAndServe()
}

func charge(ctx context.Context, key string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address, strings.NewReader("10 EUR"))
	if err != nil {
		return nil, client.NotDone(err)
	}
	req.Header.Set("Idempotency-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err // nobody knows whether it was paid
	}
	defer func() { _ = resp.Body.Close() }()
	return io.ReadAll(resp.Body)
}

func buy(ctx context.Context, order string, die bool) error {
	endpoints := "127.0.0.1:7420"
	if found := os.Getenv("HAWSER_ENDPOINTS"); found != "" {
		endpoints = found
	}
	c, err := client.Dial(client.Config{Endpoints: strings.Split(endpoints, ",")})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	own, err := c.Agent("buyer").Claim(ctx, client.TTL(time.Second)) // after a crash: as soon as the claim before has ended
	if err != nil {
		return err
	}
	cp, err := own.Restore(ctx)
	if err != nil && !errors.Is(err, hawser.ErrNotFound) {
		return err
	}
	for _, e := range cp.Effects {
		fmt.Printf("%s is %s: begun by %s\n", e.ID, e.State, e.Instance)
	}
	receipt, err := own.Effect(ctx, "pay "+order, hawser.OnUnknownRetry, func(ctx context.Context, key string) ([]byte, error) {
		receipt, err := charge(ctx, key)
		if die {
			fmt.Println("paid, and dies")
			os.Exit(1)
		}
		return receipt, err
	}, client.EffectDescription("10 EUR for "+order))
	if err != nil {
		return err
	}
	v, err := own.Save(ctx, append(cp.State, fmt.Sprintf("%s: %s\n", order, receipt)...))
	if err != nil {
		return err
	}
	fmt.Printf("%s: %s, saved as version %d\n", order, receipt, v.Number)
	return own.Release(ctx)
}
