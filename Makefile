# The commands of this repository; `make help` lists them. The continuous build runs the same ones.
# Everything a command needs is installed into .venv from the locks, the first time it is asked for.

PYTHON ?=
SEEDS ?= 20000
WORKERS ?= 2
ARGS ?=

BOOTSTRAP = python="$(or $(PYTHON),$$(sh tools/find_python.sh))" && exec "$$python" tools/bootstrap.py
VENV = .venv/bin
RUN = $(VENV)/python

.DEFAULT_GOAL := help
.PHONY: help run install dev servers test test-fast check format simulate simulate-nightly bench fuzz docs lock clean

help: ## lists the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## installs what is missing, starts the gateway with its local engine (ARGS="--port 9000" is passed on)
	@$(BOOTSTRAP) serve $(ARGS)

install: ## installs what `make run` needs, and starts nothing
	@$(BOOTSTRAP) install

dev: ## installs what the checks and tests need as well
	@$(BOOTSTRAP) dev

servers: ## installs PostgreSQL and Redis for the tests, which start their own, where it may
	@$(BOOTSTRAP) servers

# Each part runs, whatever the ones before it said, so that one round shows everything.
CHECKS = check-format check-lint check-types check-imports check-sizes check-mirror check-text check-lock
.PHONY: $(CHECKS)

check: dev ## formatting, lint, types, import contracts, sizes, test mirror, stray text, lock
	@$(MAKE) --no-print-directory --keep-going $(CHECKS)

check-format:
	$(VENV)/ruff format --check
check-lint:
	$(VENV)/ruff check
check-types:
	$(VENV)/mypy
check-imports:
	$(VENV)/lint-imports --no-logo
check-sizes:
	$(RUN) -m tools.sizes
check-mirror:
	$(RUN) -m tools.mirror
check-text:
	$(RUN) -m tools.tidy
check-lock:
	$(RUN) -m tools.lock --check

format: dev ## formats and fixes what can be fixed mechanically
	$(VENV)/ruff format
	$(VENV)/ruff check --fix

test: dev servers ## every test (ARGS="tests/e2e -k name" narrows it)
	@$(RUN) -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder $(ARGS)

test-fast: dev servers ## unit and property tests with fewer examples, in less than three minutes
	@TOKENWAY_TEST_PROFILE=fast $(RUN) -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder -m "not slow and not local" tests/unit tests/property $(ARGS)

simulate: dev ## plays SEEDS random histories of faults through the exchange and checks its invariants
	@$(RUN) -m tests.simulation.run --seeds $(SEEDS) --workers $(WORKERS) $(ARGS)

simulate-nightly: dev ## plays ten million of them, from another seed on each day
	@$(RUN) -m tests.simulation.run --seeds 10000000 --start $$(( $$(date +%s) / 86400 * 10000000 )) --workers $(WORKERS) $(ARGS)

bench: dev ## measures the gateway against nginx and its peers; see benchmarks/README.md
	@$(RUN) -m benchmarks.run $(ARGS)

fuzz: dev ## feeds every incremental parser with garbage; see fuzz/README.md
	@$(RUN) -m fuzz.run $(ARGS)

docs: dev ## writes the generated pages anew
	$(RUN) -m tools.cli_docs
	$(RUN) -m tools.settings_docs
	$(RUN) -m tools.provider_docs

lock: dev ## resolves the dependencies anew and writes locks/ (needs uv on the PATH and a package index)
	$(RUN) -m tools.lock $(ARGS)

clean: ## removes .venv and what the tools leave behind
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find src tests tools benchmarks fuzz -name __pycache__ -type d -prune -exec rm -rf {} +
