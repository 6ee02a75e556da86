// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strings"
	"testing"
)

// Every fault of a configuration is named, with the field and the way out.
func TestConfig_Validate(t *testing.T) {
	good := Config{DataDir: "d", Name: "n1", BootstrapExpect: 1}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string // "" for valid
	}{
		{"one node on loopback", func(*Config) {}, ""},
		{"three nodes with a secret", func(c *Config) {
			c.BootstrapExpect, c.Join, c.SecretFile = 3, []string{"10.0.0.1:7421", "10.0.0.2:7421"}, "s"
		}, ""},
		{"no data directory", func(c *Config) { c.DataDir = "" }, "data directory"},
		{"no name", func(c *Config) { c.Name = "" }, "name"},
		{"odd name", func(c *Config) { c.Name = "Node 1" }, "name"},
		{"address without port", func(c *Config) { c.ClientAddr = "127.0.0.1" }, "client address"},
		{"port out of range", func(c *Config) { c.PeerAddr = "127.0.0.1:70000" }, "peer address"},
		{"several nodes without a secret", func(c *Config) { c.BootstrapExpect = 3; c.Join = []string{"127.0.0.1:1"} }, "secret"},
		{"open peer port without a secret", func(c *Config) { c.PeerAddr = "10.0.0.1:7421" }, "secret"},
		{"peer port that cannot be dialled", func(c *Config) { c.PeerAddr, c.SecretFile = "0.0.0.0:7421", "s" }, "--advertise-host"},
		{"advertise host that cannot be dialled", func(c *Config) { c.AdvertiseHost = "0.0.0.0" }, "advertise host"},
		{"advertise host given", func(c *Config) { c.PeerAddr, c.SecretFile, c.AdvertiseHost = "0.0.0.0:7421", "s", "10.0.0.1" }, ""},
		{"open client port in clear", func(c *Config) { c.ClientAddr = "10.0.0.1:7420" }, "insecure"},
		{"open client port, allowed", func(c *Config) { c.ClientAddr, c.Insecure = "10.0.0.1:7420", true }, ""},
		{"certificate without key", func(c *Config) { c.TLSCert = "c" }, "certificate and key"},
		{"neither founding nor joining", func(c *Config) { c.BootstrapExpect = 0 }, "neither"},
		{"join address that cannot be dialled", func(c *Config) { c.Join, c.SecretFile = []string{"0.0.0.0:7421"}, "s" }, "join address"},
		{"join address with port 0", func(c *Config) { c.Join, c.SecretFile = []string{"127.0.0.1:0"}, "s" }, "join address"},
		{"unknown log store", func(c *Config) { c.LogStore = "rocksdb" }, "log store"},
		{"too many founders", func(c *Config) { c.BootstrapExpect, c.SecretFile = 9, "s" }, "bootstrap expect"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := good
			tt.change(&c)
			err := c.Validate()
			switch {
			case tt.want == "" && err != nil:
				t.Fatalf("refused: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Fatalf("got %v, want a fault about %q", err, tt.want)
			}
		})
	}
}

// All faults come at once.
func TestConfig_ValidateJoinsFaults(t *testing.T) {
	err := Config{ClientAddr: "x", LogStore: "y"}.Validate()
	for _, want := range []string{"data directory", "name", "client address", "log store"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not mention %q", err, want)
		}
	}
}
