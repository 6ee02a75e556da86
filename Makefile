# Copyright 2026 The Hawser Authors
# SPDX-License-Identifier: Apache-2.0
#
# `make check` is what CI runs; `make help` lists everything.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

GO ?= go
MODULE := github.com/hawserdb/hawser

# The linter is built once from tools/go.mod and kept outside the tree, keyed
# by all that decides what the binary is.
TOOLS_KEY := $(shell { cat tools/go.mod tools/go.sum; $(GO) env GOVERSION GOOS GOARCH; } | cksum | cut -d' ' -f1)
TOOLS_DIR ?= $(dir $(shell $(GO) env GOCACHE))hawser-tools/$(TOOLS_KEY)
LINT := $(TOOLS_DIR)/golangci-lint

# Packages that share state between goroutines run under the race detector.
RACE_PACKAGES := /(client|cluster|fsm|gossip|hawsertest|internal/engine|jepsen)(/|$$)
# Long tests of one goroutine, in which there is nothing for it to find, and one whose
# processes have less address space than it takes.
RACE_SKIP := ^(TestDrill|TestEffects_(Model|Bounds)|TestMachine_Model|TestView_ShowsNothingStaged|TestAcquire_LongQueue)$$

# Seconds for the fuzz targets of one `make check` together, and for one in `make fuzz`.
FUZZ_TOTAL ?= 60
FUZZ_TIME ?= 30s

# Tests of clusters mostly wait, so more of them run at once than there are cores.
PARALLEL ?= 4

BENCH ?= .
TEST_TIMEOUT ?= 9m

# The steps of `make check`, in the order in which they fail fastest.
CHECKS := tidy-check fmt-check vet proto-check lint deps-check cross test jepsen-short examples race fuzz-short

PROTOS := $(patsubst api/%,%,$(sort $(wildcard api/*/*/*.proto))) $(notdir $(sort $(wildcard internal/peerpb/*.proto)))
GENERATED_DIRS := api internal/peerpb

.PHONY: help build test race lint fmt fmt-check vet fuzz fuzz-short bench proto proto-check tidy-check \
	deps-check cross vuln check demo jepsen jepsen-short jepsen-soak jepsen-liveness jepsen-mutants failover calm takeover pool fleet drill claims-judge bank messages examples examples-soak clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | \
		awk -F'\t' '{printf "  make %-13s %s\n", $$1, $$2}'

build: ## build bin/hawser
	$(GO) build -o bin/ ./cmd/hawser

test: ## run the tests of every package
	$(GO) test -parallel $(PARALLEL) -timeout $(TEST_TIMEOUT) ./...
	$(GO) -C tools test ./...

# With -v, so that tests which find no PostgreSQL say so; they mostly wait for a
# time to live, so some at once.
examples: ## vet and test the examples that are modules of their own (needs a PostgreSQL)
	$(GO) -C examples/postgres vet ./...
	$(GO) -C examples/postgres test -v -parallel 4 -timeout $(TEST_TIMEOUT) ./...

examples-soak: ## move money between agents and PostgreSQL while everything is killed, for DURATION (60s)
	$(GO) -C examples/postgres test -count=1 -v -timeout 60m -run '^TestSoak$$' . -args -soak.duration=$(or $(DURATION),60s)

race: ## run the tests of the concurrent packages under the race detector
	@packages=$$($(GO) list ./... | grep -E '$(RACE_PACKAGES)'); \
	echo "$(GO) test -race" $$packages; \
	$(GO) test -race -parallel $(PARALLEL) -skip '$(RACE_SKIP)' -timeout $(TEST_TIMEOUT) $$packages

lint: $(LINT) ## run golangci-lint
	$(LINT) run ./...
	cd tools && $(LINT) run --config ../.golangci.yml ./...
	cd examples/postgres && $(LINT) run --config ../../.golangci.yml ./...

fmt: $(LINT) ## format the code (gofumpt, gci)
	$(LINT) fmt ./...
	cd tools && $(LINT) fmt --config ../.golangci.yml ./...

fmt-check: $(LINT) ## fail if a file is not formatted
	$(LINT) fmt --diff ./...
	cd tools && $(LINT) fmt --config ../.golangci.yml --diff ./...

vet: ## run go vet
	$(GO) vet ./...
	$(GO) -C tools vet ./...

$(LINT):
	@echo "building golangci-lint into $(TOOLS_DIR): minutes the first time, once"
	@mkdir -p $(TOOLS_DIR)
	$(GO) -C tools build -o $(LINT) github.com/golangci/golangci-lint/v2/cmd/golangci-lint

fuzz: ## run every fuzz target for FUZZ_TIME (30s)
	bash .ci/fuzz each $(FUZZ_TIME)

fuzz-short: ## run the fuzz targets of a third of the packages, FUZZ_TOTAL (60) seconds in all
	bash .ci/fuzz total $(FUZZ_TOTAL)

bench: ## run the benchmarks (BENCH=regexp)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 30m ./...

proto: ## regenerate the code of the .proto files
	cd tools && $(GO) run ./protogen -out .. -module $(MODULE) -I ../api -I ../internal/peerpb $(PROTOS)

proto-check: ## fail if the generated code is not what the .proto files say
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	(cd tools && $(GO) run ./protogen -out "$$fresh" -module $(MODULE) -I ../api -I ../internal/peerpb $(PROTOS)); \
	for dir in $(GENERATED_DIRS); do \
		diff -ru --exclude='*.proto' --exclude='*.md' --exclude='*_test.go' "$$dir" "$$fresh/$$dir" || \
			{ echo "generated code under $$dir is out of date: run 'make proto' and commit the result"; exit 1; }; \
	done; \
	echo "generated code of $(words $(PROTOS)) .proto files is up to date"

tidy-check: ## fail if a go.mod or go.sum is not tidy
	$(GO) mod tidy -diff
	$(GO) -C tools mod tidy -diff
	$(GO) -C examples/postgres mod tidy -diff
	$(GO) mod verify

deps-check: ## hold the imports and the pins to the picture in ARCHITECTURE.md
	$(GO) test -count=1 -v -run '^TestDependencies' .

# os/arch pairs that ./cmd/hawser must build for, without cgo.
CROSS := darwin/arm64 darwin/amd64 windows/amd64

cross: ## build ./cmd/hawser for every platform we name
	@for target in $(CROSS); do \
		echo "CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build ./cmd/hawser"; \
		CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build -o /dev/null ./cmd/hawser; \
	done

vuln: ## look up known vulnerabilities (needs the internet, so not part of check)
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.1.4 ./...

check: ## everything that CI checks
	@begin=$$SECONDS; report=; \
	for step in $(CHECKS); do \
		echo; echo "== make $$step"; started=$$SECONDS; \
		$(MAKE) $$step || { echo; echo "== FAILED: make $$step"; exit 1; }; \
		report+=$$(printf '\n   %-12s %4d s' $$step $$((SECONDS - started))); \
	done; \
	echo; echo "== all checks passed:$$report"; echo "   in all       $$(printf %4d $$((SECONDS - begin))) s"

demo: ## three nodes, kill -9 of the leader, every version verified (STATES=dir for real states)
	$(GO) run ./cmd/hawser demo $(if $(STATES),--states '$(STATES)')

jepsen: ## clients and faults for DURATION (2m), and what the clients saw is checked; see jepsen/README.md
	$(GO) run ./jepsen -duration $(or $(DURATION),2m)

jepsen-short: ## short runs, with a seed that stays, with a fresh one, and as without root
	$(GO) run ./jepsen -duration 20s -seed 1
	$(GO) run ./jepsen -duration 40s
	$(GO) run ./jepsen -duration 10s -network proxies -workloads register,bank,claims -faults cut-leader,one-way-one,flap-one,slow-links,poor-links

jepsen-soak: ## run after run for DURATION (8h); the report is OUT/soak.md (/tmp/hawser-soak)
	$(GO) run ./jepsen -duration 1m -soak $(or $(DURATION),8h) -out $(or $(OUT),/tmp/hawser-soak)

jepsen-liveness: ## lasting faults that leave a majority in touch, 8 s each: clients must go on saving
	$(GO) run ./jepsen -liveness

jepsen-mutants: ## build programs with known defects, and have each found
	$(GO) run ./jepsen -mutants all -duration 40s

drill: ## 20 agents under supervision, with faults of all kinds, for DURATION (3m)
	$(GO) test -count=1 -v -timeout 40m -run '^TestDrill$$' ./client/recovery -args -drill.agents=20 -drill.duration=$(or $(DURATION),3m)

pool: ## cut off one of 5 processes that run 1,000 agents, and measure how soon they go on
	$(GO) test -count=1 -v -timeout 10m -run '^TestRunPool$$' ./client/agent -args -pool.agents=1000 -pool.members=5 -pool.nodes=3

fleet: ## kill one of MEMBERS (20) processes that run AGENTS (10000) agents, and measure how soon they go on
	$(GO) test -count=1 -v -timeout 10m -run '^TestRunPool_Processes$$' ./client/agent -args -fleet.agents=$(or $(AGENTS),10000) -fleet.members=$(or $(MEMBERS),20) -fleet.nodes=3

takeover: ## kill the owner of an agent TRIALS (50) times, and judge how soon its successor saves, or does the next step
	$(GO) test -count=1 -v -timeout 60m -run '^TestTakeover_Trials$$' ./cmd/hawser -args -takeover.trials=$(or $(TRIALS),50)
	$(GO) test -count=1 -v -timeout 60m -run '^TestRun_CrashToNextStep$$' ./client/agent -args -crash.trials=$(or $(TRIALS),50)

claims-judge: ## kill and freeze the active of three instances FAULTS (40) times, while a judge reads who has saved
	$(GO) test -count=1 -v -timeout 60m -run '^TestClaims_Judge$$' ./cmd/hawser -args -judge.faults=$(or $(FAULTS),40)

bank: ## move money between agents while processes and nodes are killed, for DURATION (2m)
	$(GO) test -count=1 -v -timeout 60m -run '^TestBank$$' ./cmd/hawser -args -bank.duration=$(or $(DURATION),2m)

messages: ## send COUNT (10000) messages through three agents that are cut off at random, each once
	$(GO) test -count=1 -v -timeout 60m -run '^TestMessages_Pipeline$$' ./cluster -args -pipeline.messages=$(or $(COUNT),10000)

failover: ## kill, freeze, stop and cut off the leader TRIALS (30) times each, and judge the gaps in writes
	$(GO) test -count=1 -v -timeout 60m -run '^TestFailover_' ./cmd/hawser -args -failover.trials=$(or $(TRIALS),30)

calm: ## an idle, a loaded and a starved cluster for DURATION (10m) each, without an election
	$(GO) test -count=1 -v -timeout 90m -run '^TestCalm$$' ./cmd/hawser -args -calm.duration=$(or $(DURATION),10m)

clean: ## remove what was built
	rm -rf bin
	$(GO) clean -testcache
