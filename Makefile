# `make demo`, `make test` and `make lint` do everything: create .venv, install, run. `make demo` installs the core alone. What lint runs stands in
# .pre-commit-config.yaml.
PYTHON ?= python3
BIN := .venv/bin
CORE := .venv/.core
STAMP := .venv/.installed

.PHONY: demo test test-all bench docs lint clean

demo: $(CORE)
	$(BIN)/condense demo

test: $(STAMP)
	$(BIN)/python -m pytest -m "not slow"

test-all: $(STAMP)
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[interop,oracles,molecules]"
	$(BIN)/python -m pytest

bench: $(STAMP)
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[bench]"
	$(BIN)/python -m tests.bench

docs: $(STAMP)
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[docs]"
	$(BIN)/python -m sphinx -b html -W --keep-going -q -d build/doctrees docs build/docs
	@echo build/docs/index.html

lint: $(STAMP)
	PATH="$(CURDIR)/$(BIN):$$PATH" pre-commit run --all-files

# The tested versions need Python 3.11 to 3.13; pip takes the newest that fit where a constraint does not apply.
$(CORE): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "condense needs Python 3.11 or newer: make PYTHON=python3.12"'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	touch $(CORE)

$(STAMP): $(CORE)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $(STAMP)

clean:
	rm -rf .venv build dist *.egg-info
