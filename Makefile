# `make demo` and `make test` each do everything from a bare clone: virtual environment, pinned install, run.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ORACLES := $(VENV)/.oracles

.PHONY: demo test check lint format clean

demo: $(INSTALLED)
	$(BIN)/malmoi demo

test: $(INSTALLED) $(ORACLES)
	$(BIN)/python -m pytest

check: lint test

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "malmoi needs Python 3.11 or later; give one with PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'torch' hatchling editables
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[test-core]'
	touch $@

$(ORACLES): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt kenlm \
	  || echo 'kenlm could not be built (it needs a C++ compiler): the tests that compare with it will be skipped'
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache
