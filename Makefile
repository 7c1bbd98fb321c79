# `make` sets everything up and compiles the spec; `make help` lists the rest.

PYTHON ?= python3
PYTEST_ARGS ?=

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all setup test check format snapshots readers bench docs lock clean help

all: setup  ## Set up .venv and compile appos.yaml into build/
	.venv/bin/appos-compile

setup: .venv/.run .venv/.generated .venv/.bytecode  ## Set up .venv with the command, nothing else

test: readers .venv/.generated  ## Run every test, with the real readers of each generated format
	.venv/bin/python -m pytest $(PYTEST_ARGS)

check: .venv/.test  ## Lint and check types
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

format: .venv/.test  ## Format the sources and apply the linter's safe fixes
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

snapshots: readers .venv/.generated  ## Write the snapshots anew after a wanted change; review the diff
	.venv/bin/python -m pytest --snapshot-update $(PYTEST_ARGS)

readers: .venv/.test  ## Set up the real readers: nginx, Compose, BuildKit's parser, linters
	tests/readers/setup

bench: setup  ## Measure the speed beside its goals
	.venv/bin/python -m benchmarks

docs: setup  ## Regenerate docs/reference.md from the schema
	.venv/bin/python -m compiler.reference

lock:  ## Pin and hash the requirements again
	requirements/lock

clean:  ## Remove everything that make made, except build/
	rm -rf .venv .cache dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -f compiler/_templates.py compiler/_validator.py
	find compiler tests -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Each of these files stands for a finished step; it is done again when what it comes from is newer.

PIP := .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "make: needs Python 3.10 or later" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || $(PYTHON) -m virtualenv --quiet .venv || { rm -rf .venv; echo \
	  "make: this Python cannot make virtual environments; install python3-venv (Debian, Ubuntu) or virtualenv" >&2; exit 1; }

.venv/.run: .venv/bin/python requirements/run.txt pyproject.toml
	$(PIP) --require-hashes --requirement requirements/run.txt
	$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

# An editable install makes these too, but not again when what they are made from changes.
.venv/.generated: .venv/.run hatch_build.py compiler/outputs.py compiler/render.py compiler/templating.py \
    schema/appos.schema.json $(wildcard templates/* templates/.*.j2)
	.venv/bin/python hatch_build.py
	@touch $@

# Even where PYTHONDONTWRITEBYTECODE is set the command starts from byte-code.
.venv/.bytecode: .venv/.run .venv/.generated $(wildcard compiler/*.py compiler/*/*.py)
	.venv/bin/python -m compileall -q compiler
	@touch $@

.venv/.test: .venv/.run requirements/test.txt
	$(PIP) --require-hashes --requirement requirements/test.txt
	@touch $@
