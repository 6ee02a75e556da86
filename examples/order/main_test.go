// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/examples/internal/fleet"
	"github.com/hawserdb/hawser/hawsertest"
)

// maxKills has the shop come to an end on a slow machine, too.
const maxKills = 15

// Claim: while the processes of the shop are killed all the time, every order is in the
// book, taken from the stock and due or paid, or nothing of that, at every revision; at
// the end each order that was taken is charged once, and no other one is. Method: a bank
// that counts, and cuts of the three agents.
func TestOrder_AllOrNone(t *testing.T) {
	f := fleet.Start(t, 3)
	c := f.Client()
	b := newBank()
	b.takes = 100 * time.Millisecond
	server := httptest.NewServer(b)
	defer server.Close()
	p := f.Run([]string{"BANK_URL=" + server.URL}, fleet.Build(t, "."))
	kills, killed, cuts, turn := map[string]int{}, 0, 0, rand.IntN(len(shop))
	limit := time.After(2 * time.Minute)
	for over := false; !over; {
		select {
		case <-p.Done:
			over = true
		case <-time.After(time.Duration(50+rand.IntN(150)) * time.Millisecond):
			role := strings.TrimPrefix(shop[turn%len(shop)], "order/")
			if child := p.Child(role); killed < maxKills && child != 0 && syscall.Kill(child, syscall.SIGKILL) == nil {
				kills[role]++
				killed++
			}
			turn++
			if checkCut(t, c, fmt.Sprintf("cut-%d", cuts)) {
				cuts++
			}
		case <-limit:
			t.Fatalf("the shop does not come to an end:\n%s", p.Output())
		}
	}
	if !p.Cmd.ProcessState.Success() {
		t.Fatalf("%v\n%s", p.Cmd.ProcessState, p.Output())
	}
	taken := checkEnd(t, c, b)
	t.Logf("%d of %d orders were taken; killed: %v; %d cuts", taken, orders, kills, cuts)
	if kills["clerk"] == 0 || kills["book"]+kills["stock"]+kills["payment"] == 0 || cuts == 0 || taken == 0 || taken == orders {
		t.Errorf("that shows nothing:\n%s", p.Output())
	}
}

// checkCut compares the three agents as they are at one revision, and reports whether
// it could.
func checkCut(t *testing.T, c *client.Client, name string) bool {
	t.Helper()
	cut, err := c.Cut(t.Context(), name, client.CutAgents(bookName, stockName, paymentName))
	if err != nil {
		return false // they are not there yet
	}
	at := map[string]uint64{}
	for _, a := range cut.Agents {
		at[a.Agent.Name] = a.Number
	}
	checkShop(t, c, at)
	return true
}

func restore[T any](t *testing.T, c *client.Client, name string, version uint64) T {
	t.Helper()
	state, err := client.RestoreJSON[T](t.Context(), c.Agent(name), client.AtVersion(version))
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// checkShop compares versions of the three agents, and returns what the book has.
func checkShop(t *testing.T, c *client.Client, at map[string]uint64) book {
	t.Helper()
	orders := restore[book](t, c, bookName, at[bookName])
	left := restore[stock](t, c, stockName, at[stockName])
	money := restore[payment](t, c, paymentName, at[paymentName])
	for item, initial := range initialStock.Left {
		sold := 0
		for _, o := range orders.Orders {
			if o.Item == item {
				sold += o.Count
			}
		}
		if left.Left[item] != initial-sold || left.Left[item] < 0 {
			t.Errorf("%v: %d %ss left, of %d, and %d sold", at, left.Left[item], item, initial, sold)
		}
	}
	known := map[string]bool{}
	for _, o := range money.Due {
		known[o.ID] = true
	}
	for _, o := range money.Paid {
		if known[o.Order.ID] {
			t.Errorf("%v: %s is paid twice, or paid and due", at, o.Order.ID)
		}
		known[o.Order.ID] = true
	}
	for id := range orders.Orders {
		if !known[id] {
			t.Errorf("%v: %s is in the book, and neither due nor paid", at, id)
		}
	}
	if len(known) != len(orders.Orders) {
		t.Errorf("%v: %d orders are due or paid, %d in the book", at, len(known), len(orders.Orders))
	}
	return orders
}

// checkEnd compares what the customer was told with the agents and the bank, and
// returns how many orders were taken.
func checkEnd(t *testing.T, c *client.Client, b *bank) int {
	t.Helper()
	taken := checkShop(t, c, map[string]uint64{}).Orders
	told := map[string]bool{}
	for _, o := range restore[customer](t, c, customerName, 0).Outcomes {
		if _, ok := taken[o.Order.ID]; ok != (o.Refused == "") || ok != (o.Receipt != "") || told[o.Order.ID] {
			t.Errorf("the customer was told %+v; in the book: %v; told before: %v", o, ok, told[o.Order.ID])
		}
		told[o.Order.ID] = true
	}
	if money := restore[payment](t, c, paymentName, 0); len(told) != orders || len(money.Due) != 0 {
		t.Errorf("the customer was told of %d orders, and %d are due", len(told), len(money.Due))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range taken {
		if b.charged[id] != 1 {
			t.Errorf("%s was charged %d times", id, b.charged[id])
		}
	}
	if len(b.charged) != len(taken) || len(b.asked) != len(taken) {
		t.Errorf("%d orders were charged, under %d keys; %d were taken", len(b.charged), len(b.asked), len(taken))
	}
	var again int
	for _, n := range b.asked {
		again += n - 1
	}
	t.Logf("the bank was asked again %d times", again)
	return len(taken)
}

// Claim: an order whose time is over before it was begun is refused, one that was
// committed before is not.
func TestOrder_TooLate(t *testing.T) {
	c := hawsertest.Start(t)
	if err := open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	late := attempt{Order: nth(1), Deadline: time.Now().Add(-time.Minute)}
	if refused, err := decide(t.Context(), c, late); err != nil || refused != "time ran out" {
		t.Errorf("refused: %q, %v", refused, err)
	}
	taken := encode(book{Orders: map[string]order{late.Order.ID: late.Order}})
	if _, err := c.Agent(bookName).Save(t.Context(), taken, client.Overwrite()); err != nil {
		t.Fatal(err)
	}
	if refused, err := decide(t.Context(), c, late); err != nil || refused != "" {
		t.Errorf("refused: %q, %v", refused, err)
	}
}
