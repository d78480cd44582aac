# Two commands set everything up, with nothing but python3 (3.11 or later), its venv module and make:
#
#   make demo    see the whole job in one terminal
#   make test    run the tests
#   make check   format, lint, types, borders, Dockerfile
#   make bench   how fast it is, against what one would write instead; QUICK=1 for two minutes instead of twenty
#   make reference   write the table of providers anew (after a preset changed)
#
# make bench-cadence prints how much sooner the learned cadence sees ends; it takes some minutes.
#
# Everything lives in .venv. A stamp there is newer than pyproject.toml when there is nothing to install.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
WORKERS := $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1))' 2>/dev/null)
OFFLINE := echo "make: could not install from the package index: look at pip's message above, then try again." >&2

.PHONY: demo test check bench reference bench-cadence clean
.NOTPARALLEL:

demo: $(VENV)/.installed
	@$(BIN)/ringback demo

test: $(VENV)/.installed-dev
	@PYTEST_XDIST_AUTO_NUM_WORKERS=$(WORKERS) $(BIN)/python -m pytest

check: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint Dockerfile

bench: $(VENV)/.installed-dev
	@$(BIN)/python tests/benchmarks/run.py $(if $(QUICK),--quick) $(if $(WRITE),--write docs/explanation/benchmarks.md)

# What docs/reference has of the presets.
reference: $(VENV)/.installed-dev
	@PYTHONPATH=tests $(BIN)/python tests/house/catalogue_page.py
bench-cadence: $(VENV)/.installed-dev
	@$(BIN)/python tests/benchmarks/cadence.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .hypothesis .schemathesis dist

$(VENV)/.installed: pyproject.toml | $(VENV)/.made
	@echo "Installing ringback into $(VENV) (once; about half a minute) ..."
	@$(PIP) install --editable . || { $(OFFLINE); exit 1; }
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/.made
	@echo "Installing ringback and what its tests use into $(VENV) (once; about a minute) ..."
	@$(PIP) install --editable '.[dev]' || { $(OFFLINE); exit 1; }
	@touch $(VENV)/.installed $@

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null 2>&1 || \
	  { echo "make: $(PYTHON) was not found: install Python 3.11 or later, or name yours: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: $(PYTHON) is older than Python 3.11: name a newer one, like this: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "make: $(PYTHON) has no venv module: install it first (Debian, Ubuntu: apt install python3-venv)." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@
