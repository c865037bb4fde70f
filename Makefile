# Needs make and Python 3.11 or later; everything else goes into .venv, from hash-pinned files.

# The distribution's own, where it will do: what the packages run on, and a quarter faster than one built without
# profile-guided optimisation, as pyenv builds it.
SYSTEM    := /usr/bin/python3
PYTHON    ?= $(shell $(SYSTEM) -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(SYSTEM) || echo python3)
# How many files of tests run at once, and what else pytest is told: make test PYTEST="-k flow"
TEST_JOBS ?= 2
PYTEST    ?=

# Images of containers set it, and each process that a test starts would compile the gateway anew.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq

.DEFAULT_GOAL := help
# Two at once, what takes longest first.
CHECKS := types architecture site style contracts
.PHONY: help install demo test check bench packages $(CHECKS)

help:
	@echo "make demo      the whole way on this machine: embedded PACS and RIS, the real daemon, a filled archive"
	@echo "make test      everything needed to test, then the whole suite"
	@echo "make install   $(BIN)/pacs-gateway"
	@echo "make check     format, lint, types, import contracts, docs"
	@echo "make packages  dist/: Debian package, RPM, wheel, sdist"
	@echo "make bench     receiving beside Orthanc's, finding and retrieving beside DCMTK's, de-identification beside other tools'"

install: .venv/.installed

demo: .venv/.installed
	$(BIN)/pacs-gateway demo

test: .venv/.ready-for-tests
	packaging/peers
	$(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder --durations=20 --durations-min=5 \
	  $(PYTEST)

check: .venv/.ready-for-tests
	@$(MAKE) --no-print-directory --jobs=2 --output-sync $(CHECKS)

types:
	$(BIN)/mypy
site:
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/site
style:
	$(BIN)/ruff format --check gateway tests packaging
	$(BIN)/ruff check gateway tests packaging
contracts:
	$(BIN)/lint-imports --no-logo
architecture:
	$(BIN)/python -m pytest -q tests/architecture

packages: .venv/.ready-for-tests
	$(BIN)/python packaging/make_packages.py

bench: .venv/.ready-for-tests .venv-bench/.ready
	packaging/peers
	$(BIN)/python -m tests.bench.receive
	$(BIN)/python -m tests.bench.find
	$(BIN)/python -m tests.bench.move
	$(BIN)/python -m tests.bench.deid

# ---- .venv: a stamp for each step, so that a second call has nothing to do

.venv/.made:
	@command -v $(PYTHON) >/dev/null || \
	  { echo "make: no $(PYTHON) here; install Python 3.11 or later, or say make PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: $$($(PYTHON) --version) is too old; Python 3.11 or later is needed: make PYTHON=python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "make: $(PYTHON) has no venv module; on Debian: apt-get install python3-venv" >&2; exit 2; }
	@echo "making .venv"
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.installed: .venv/.made requirements/build.txt requirements/run.txt pyproject.toml
	@echo "installing pacs-gateway into .venv"
	@$(PIP) install --require-hashes -r requirements/build.txt
	@$(PIP) install --require-hashes --no-build-isolation -r requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.ready-for-tests: .venv/.installed requirements/dev.txt
	@echo "installing what tests and checks need into .venv"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

# ---- .venv-bench: the tools that make bench measures against; nothing of ours is in it

.venv-bench/.ready: requirements/bench.txt | .venv/.made
	@echo "installing the tools of the bench into .venv-bench"
	@$(PYTHON) -m venv .venv-bench
	@printf '*\n' >.venv-bench/.gitignore
	@.venv-bench/bin/python -m pip --disable-pip-version-check --no-input -qq install --require-hashes -r requirements/bench.txt
	@touch $@
