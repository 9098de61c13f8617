# The only entry points. Each sets up what it needs in .venv, from nothing but Python 3.11+.
PYTHON ?= python3
BIN := .venv/bin
TESTS ?=
REQUIRE ?=

.PHONY: demo test check bench docs clean

.venv/stamp: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,all]'
	@touch $@

demo: .venv/stamp
	$(BIN)/python -m examples.orders

# No server is needed yet: SQLite comes with Python. REQUIRE=all fails on one that cannot be had.
test: .venv/stamp
	STEPGRAPH_REQUIRE=$(REQUIRE) $(BIN)/python -m pytest -q $(TESTS)

check: .venv/stamp
	$(BIN)/python tools/generate_blocking.py --check
	$(BIN)/ruff format --check src
	$(BIN)/ruff check src
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/repository typing_tests

bench: .venv/stamp
	$(BIN)/python -m benchmarks

docs: .venv/stamp
	$(BIN)/python -m pytest -q tests/docs

clean:
	rm -rf .venv .demo
