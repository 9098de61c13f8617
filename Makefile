# The only entry points. Each sets up what it needs in .venv, from nothing but Python 3.11+.
PYTHON ?= python3
BIN := .venv/bin
TESTS ?=
REQUIRE ?=
SEEDS ?= 0:5000

.PHONY: demo test check bench docs simulate clean

.venv/stamp: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,all]'
	@touch $@

demo: .venv/stamp
	$(BIN)/python -m examples.orders

# Servers are installed where that is possible, started, and stopped. REQUIRE=all fails on one that cannot be had.
test: .venv/stamp
	STEPGRAPH_REQUIRE=$(REQUIRE) $(BIN)/python -m pytest -q $(TESTS)

check: .venv/stamp
	$(BIN)/python tools/generate_blocking.py --check
	$(BIN)/ruff format --check src reliability
	$(BIN)/ruff check src reliability
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/repository typing_tests

bench: .venv/stamp
	$(BIN)/python -m benchmarks

# What CI runs: under 20 minutes on two cores.
simulate: .venv/stamp
	$(BIN)/python -m reliability run --seeds $(SEEDS) --jobs 2 --write
	$(BIN)/python -m reliability small
	$(BIN)/python -m reliability bank --most 300 --jobs 2

docs: .venv/stamp
	$(BIN)/python -m pytest -q tests/docs

clean:
	rm -rf .venv .demo
