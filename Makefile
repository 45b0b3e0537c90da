# Two commands do all the set-up: `make demo` (the main job) and `make test` (the whole suite).
# Each makes its own .venv at versions pinned by constraints.txt and is quick the second time.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The pure floors are held at full branch coverage by their own tests alone; tracing the rest would cost minutes.
PURE := candidate/errors.py,candidate/canonical.py,candidate/document.py,candidate/documents/*,candidate/judgement/*
PURE_TESTS := tests/documents tests/judgement tests/laws tests/test_document.py tests/test_errors.py
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: demo test check lint types schemas support test-peers fuzz constraints clean help

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make demo         the whole story on real flights: build, compare, promote, refuse, roll back
demo: $(STAMP)
	$(BIN)/python -m examples.flights.story --out demo

## make test         lint, types and the whole suite, with branch coverage of the pure floors at 100 %
test: check
	$(PYTEST) --cov --cov-report= $(PURE_TESTS)
	$(BIN)/python -m coverage report --fail-under=100 --skip-covered --show-missing --include='$(PURE)'
	$(PYTEST) $(PURE_TESTS:%=--ignore=%)

## make check        ruff and mypy --strict
check: lint types

lint: $(STAMP)
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .

types: $(STAMP)
	$(BIN)/mypy

## make test-peers   other people's verifiers and registries read what we write (needs Debian and npm packages)
test-peers: $(STAMP)
	sh tests/peers/run.sh

## make fuzz         fuzz the readers of bundles, documents and graphs, SECONDS=600 for each (Linux on x86-64)
SECONDS ?= 20
fuzz: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
		--requirement tests/fuzz.txt
	$(BIN)/python -m benchmarks.fuzz --seconds $(SECONDS)

## make schemas      write schemas/*.json from the documents (a test compares them byte by byte)
schemas: $(STAMP)
	$(BIN)/python -m tests.schemas

## make constraints  resolve constraints.txt anew (needs uv on the PATH)
constraints:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--extra dev pyproject.toml --output-file constraints.txt

## make support      write docs/support.md: what of scikit-learn converts, tried on real data (two minutes)
support: $(STAMP)
	$(BIN)/python -m tests.breadth.table

$(STAMP): constraints.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
		--requirement constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .pytest_cache .ruff_cache
