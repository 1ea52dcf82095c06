# `make help` lists what there is. Every check that counts is here; .ci/run only calls these.

CARGO ?= cargo
# Further arguments for cargo, as CARGO_FLAGS=--locked.
CARGO_FLAGS ?=

DESTDIR ?=
prefix ?= /usr
sysconfdir ?= /etc
unitdir ?= $(prefix)/lib/systemd/system

WORKSPACE := --workspace --all-features $(CARGO_FLAGS)

.DEFAULT_GOAL := help
.PHONY: help deps build demo test lint fmt doc bench bench-failover ci install

help: ## Show this list
	@awk -F ': .*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install what is missing to build and test (Debian packages)
	@tests/deps.sh

build: ## Build the optimised binary: target/release/director
	@tests/deps.sh build
	$(CARGO) build --release --bin director $(CARGO_FLAGS)

demo: ## Show the Exchange farm at work, in network namespaces (KEEP=1: leave it running)
	@tests/deps.sh
	$(CARGO) build --release --bin director --bin demo $(CARGO_FLAGS)
	@$(CARGO) run --quiet --release --bin demo $(CARGO_FLAGS)

test: ## Run every test (ALLOW_SKIP=1: pass without those that this machine cannot run)
	@tests/deps.sh build
	@tests/deps.sh test || echo "tests in network namespaces cannot run here: each is named below" >&2
	$(CARGO) build --all-targets $(WORKSPACE)
	$(CARGO) test --no-fail-fast $(WORKSPACE)

lint: ## Check format, lints, documentation and, with cargo-deny, the dependencies
	@tests/deps.sh build
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets $(WORKSPACE) -- -D warnings
	@$(MAKE) --no-print-directory doc
	@if command -v cargo-deny >/dev/null; then \
	    echo "$(CARGO) deny check bans licenses sources"; \
	    $(CARGO) deny --all-features check --hide-inclusion-graph bans licenses sources; \
	else \
	    echo "dependencies are not checked: cargo-deny is not installed"; \
	fi

fmt: ## Format the code
	$(CARGO) fmt --all

doc: ## Make the code's documentation: target/doc
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items $(WORKSPACE)

bench: ## Measure loading, changing, memory, connections and probes in network namespaces (twelve minutes)
	@tests/deps.sh build test bench
	$(CARGO) build --release --bin director --bin bench $(CARGO_FLAGS)
	@$(CARGO) run --quiet --release --bin bench $(CARGO_FLAGS)

bench-failover: ## Measure how long clients wait when the Active goes, beside keepalived (half an hour; ROUNDS=2: less)
	@tests/deps.sh build test bench
	$(CARGO) build --release --bin director --bin failover $(CARGO_FLAGS)
	@$(CARGO) run --quiet --release --bin failover $(CARGO_FLAGS)

ci: ## Do what the continuous integration does
	@.ci/run

install: ## Install a built director: binary and systemd unit (DESTDIR, prefix, sysconfdir)
	install -D -m 755 target/release/director $(DESTDIR)$(prefix)/bin/director
	install -D -m 644 deploy/systemd/director.service $(DESTDIR)$(unitdir)/director.service
	install -d -m 750 $(DESTDIR)$(sysconfdir)/director
