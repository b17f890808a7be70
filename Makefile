# The two commands that matter are `make dev` and `make test`; the rest is what they are made of.
#
# One profile (release) and one target directory outside the clone serve everyday work, so that RocksDB, which takes twenty
# minutes on two cores, is compiled once a machine. With ccache installed it survives even a lost target directory. What is given to
# others has a profile of its own (dist): optimised across crates, and slow to build.

export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ncore-target
NCORE := $(CARGO_TARGET_DIR)/release/ncore
SEEDS ?= 20
SECONDS ?= 60
API_SECONDS ?= 320
NODES ?= 1
FUZZ_TARGETS := paths globs ranges records signed api proxied names interims parts questions targeted tickets tiers upgrades variants

.PHONY: help dev test prove build dist setup fmt lint licences bench fuzz check-api check-cache check-smuggling check-clients clean-dev

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

dev: build ## Build, and run three regions on this machine until Ctrl-C
	@exec $(NCORE) dev

test: build ## Build, and run every test
	cargo nextest run --release --workspace --no-fail-fast

prove: build ## Run the long exercises: many seeds, many faults (SEEDS=20)
	NCORE_PROVE=1 NCORE_SEEDS=$(SEEDS) PROPTEST_CASES=2000 cargo nextest run --release --workspace --profile prove --no-fail-fast

build: setup
	cargo build --release --workspace --bins --lib

dist: setup ## Build the binary that is given to others, optimised across crates
	cargo build --profile dist --package ncore --bin ncore

setup: ## Install what the build needs and this machine lacks
	@deploy/setup

fmt: ## Check the formatting
	cargo fmt --all --check

lint: ## Check with clippy
	cargo clippy --release --workspace --all-targets -- -D warnings

licences: ## Check licences, banned crates and sources
	@deploy/setup cargo-deny
	cargo deny --workspace check bans licenses sources

bench: build dist ## Measure beside nginx and etcd, and followers beside learners
	@for what in data-plane writes followers; do $(CARGO_TARGET_DIR)/release/cluster-bench $$what --ncore $(CARGO_TARGET_DIR)/dist/ncore || exit 1; done

fuzz: ## Fuzz everything that is parsed from outside (SECONDS=60 each; needs nightly and cargo-fuzz)
	@cd cluster-tests/fuzz && for target in $(FUZZ_TARGETS); do \
		cargo +nightly fuzz run --fuzz-dir . -s none -O $$target -- -max_total_time=$(SECONDS) -timeout=10 -print_final_stats=1 || exit 1; done

check-api: build ## Hold a node against its OpenAPI document with schemathesis (API_SECONDS=320; needs Python)
	@cluster-tests/check-the-api $(NCORE) $(API_SECONDS)

check-cache: build ## Hold the cache against the public suite http-cache-tests (NODES=1, 3 for three in turn; needs Node.js)
	@cluster-tests/check-the-cache $(NCORE) $(NODES)

check-smuggling: build ## Send what servers read in two ways through a node to nginx, Apache and our own origin (installs them)
	@cluster-tests/check-smuggling

check-clients: build ## Hold HTTP/1.1, HTTP/2 and HTTP/3 against curl, h2load, aioquic and Chromium (needs Python and them)
	@cluster-tests/check-the-clients $(NCORE)

clean-dev: ## Forget the data of `make dev`
	rm -rf .dev
