# Everything a newcomer needs: `make demo` and `make test`. Python >= 3.11, pip and make are enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Most tests wait for real processes: two more than there are processors keep these busy (on two: 9:46 instead of 12:18).
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)
# Tests start hundreds of processes: where Python may not keep what it has compiled, each compiles all of it again.
test quick check compiled-tests: export PYTHONDONTWRITEBYTECODE =
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo run test quick probes check lint lint-format lint-types lint-imports compiled-tests soak mutants chaos bench bench-ui bench-door bench-users bench-servers bench-temperatures bench-contexts bench-hooks format schema screenshots clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/installed ## Open the dashboard in rehearsal with simulated callers: no key, no network. STATE=DIR keeps it elsewhere
	@$(BIN)/bullpen demo $(if $(STATE),--state "$(STATE)")

run: $(VENV)/installed ## Open the dashboard with your own credentials
	@$(BIN)/bullpen

test: $(VENV)/installed-test ## Run the tests, those with real Claude Code processes included, but for what only `make soak` runs
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal

quick: $(VENV)/installed-test ## Run the tests to run while you write: no real processes, none that takes long
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal -m "not real and not slow"

chaos: $(VENV)/installed-test ## Kill, stop and refuse everything for a minute, and count what was lost (must be 0)
	$(BIN)/python -m tests.chaos $(CHAOS)

probes: $(VENV)/installed-test ## Ask the installed SDK and CLI whether what bullpen is built on is still so: two minutes
	$(BIN)/python -m tests.probes $(PROBES)

check: lint ## Format, lint, types, import contracts, and the tests that need no loop
	$(BIN)/python -m pytest tests/unit -q

lint: lint-types lint-imports lint-format ## Format, lint, types and import contracts

compiled-tests: $(VENV)/installed-test
	$(BIN)/python -m pytest --collect-only -q | tail -1

lint-format: $(VENV)/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

lint-types: $(VENV)/installed-test
	$(BIN)/mypy

lint-imports: $(VENV)/installed-test
	$(BIN)/lint-imports

soak: $(VENV)/installed-test ## Look for an order of events that breaks a law of the pool, try new examples of everything, run the screen over a far engine, and what `make test` leaves out
	$(BIN)/python -m pytest tests/engine/model --hypothesis-profile=soak -q
	$(BIN)/python -m pytest -m "hypothesis and not real" --hypothesis-profile=explore -q --numprocesses=$(WORKERS) --dist=worksteal
	$(BIN)/python -m pytest tests/tui --engine=far -q --numprocesses=$(WORKERS) --dist=worksteal
	$(BIN)/python -m pytest -m exhaustive -q --numprocesses=$(WORKERS) --dist=worksteal

mutants: $(VENV)/installed-mutants ## Make one small mistake at a time and see whether a test notices: 40 of them, twenty minutes at most
	$(BIN)/python -m tests.mutants $(MUTANTS)

format: $(VENV)/installed-test ## Put the code into the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schema: $(VENV)/installed ## Write docs/template.schema.json from the template model
	$(BIN)/python scripts/make_schema.py

screenshots: $(VENV)/installed-test ## Take the pictures of the README from the running program
	$(BIN)/python scripts/make_screenshots.py

bench: $(VENV)/installed-bench ## Measure against other designs and write docs/benchmarks.md: half an hour on a quiet machine
	$(BIN)/python -m benchmarks.turns

bench-ui: $(VENV)/installed-test ## Measure what the dashboard costs in a terminal, into docs/benchmarks.md: two minutes
	$(BIN)/python -m benchmarks.ui

bench-door: $(VENV)/installed-test ## Measure what the door costs, beside an app with a client for each request: two minutes
	$(BIN)/python -m benchmarks.door

bench-users: $(VENV)/installed-test ## A hundred users in 3 GiB against a client for each, into docs/benchmarks.md: ten minutes
	$(BIN)/python -m benchmarks.users

bench-contexts: $(VENV)/installed-test ## What is prepared once: its cost, and how often it is used again, into docs/benchmarks.md
	$(BIN)/python -m benchmarks.contexts

bench-hooks: $(VENV)/installed-test ## What a hundred hooks cost a turn, and how many firings get done, into docs/benchmarks.md
	$(BIN)/python -m benchmarks.hooks

bench-temperatures: $(VENV)/installed-test ## What idle clients cost hot, asleep and hibernated, into docs/benchmarks.md: 20 minutes, swap
	$(BIN)/python -m benchmarks.temperatures
	$(BIN)/python -m benchmarks.live_sessions

bench-servers: $(VENV)/installed-test ## What shared MCP servers save, into docs/benchmarks.md: two minutes
	$(BIN)/python -m benchmarks.servers

clean: ## Remove what was built and installed here
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "bullpen needs Python 3.11 or newer; name one with: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing bullpen (the Claude Code CLI comes with it: about 380 MB on disk) ..."
	@$(PIP) --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing bullpen and what the tests need (the Claude Code CLI comes with it: about 380 MB on disk) ..."
	@$(PIP) --editable '.[test]'
	@touch $(VENV)/installed $@

$(VENV)/installed-bench: $(VENV)/installed
	@echo "Installing what the pictures need ..."
	@$(PIP) --editable '.[bench]'
	@touch $@

$(VENV)/installed-mutants: $(VENV)/installed-test
	@echo "Installing what the mutants need ..."
	@$(PIP) --editable '.[mutants]'
	@touch $@
