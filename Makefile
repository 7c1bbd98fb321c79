# `make` sets everything up and compiles the spec; `make help` lists the rest.

PYTHON ?= python3
PYTEST_ARGS ?=
# A directory for the results as JUnit has them
REPORTS ?=

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all setup test check format snapshots readers lab lab-engine bench bench-container docs lock clean help \
    image image-local build payload dashboard backend convex start stop restart logs shell status

all: setup  ## Set up .venv and compile appos.yaml into build/
	.venv/bin/appos-compile

setup: .venv/.run .venv/.generated .venv/.bytecode  ## Set up .venv with the command, nothing else

test: readers lab .venv/.generated  ## Run every test: with the real readers of each format, and with real containers
	@status=0; \
	$(call pytest,units) --numprocesses 2 $(addprefix --ignore=,$(CONTAINERS)) || status=1; \
	$(call pytest,containers) --numprocesses 4 --dist loadfile --no-loadscope-reorder $(LONGEST) $(MOSTLY_WAITING) || status=1; \
	$(call pytest,browser) tests/browser tests/pages || status=1; \
	exit $$status

# Tests with containers mostly wait, so several run at once, what takes longest first; the others keep a processor busy, and one
# page at a time is open.
LONGEST = tests/verify/test_faults.py tests/flagship
MOSTLY_WAITING = tests/verify tests/flagship tests/size
CONTAINERS = $(MOSTLY_WAITING) tests/browser tests/pages
pytest = .venv/bin/python -m pytest $(if $(REPORTS),--junitxml=$(REPORTS)/$(1).xml) $(PYTEST_ARGS)

check: .venv/.test  ## Lint and check types
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

format: .venv/.test  ## Format the sources and apply the linter's safe fixes
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

snapshots: readers .venv/.generated  ## Write the snapshots anew after a wanted change; review the diff
	.venv/bin/python -m pytest --snapshot-update $(PYTEST_ARGS)

readers: .venv/.test  ## Set up the real readers: nginx, Compose, BuildKit's parser, linters, a scanner
	tests/readers/setup

lab-engine: .venv/.test  ## Start a container engine for the tests, where none answers
	.venv/bin/python -m tests.lab engine

# Without an engine the tests that need one are skipped, and say so; in continuous integration they fail.
lab: .venv/.test  ## Make the images that the Dockerfiles name, from packages; LAB=off: the engine pulls the real ones
	.venv/bin/python -m tests.lab images $(if $(CI),,|| true)

bench: setup  ## Measure the speed beside its goals
	.venv/bin/python -m benchmarks

bench-container: .venv/.test lab  ## Measure the container beside a hand-written one, and its goals
	.venv/bin/python -m benchmarks.container

docs: .venv/.test  ## Regenerate docs/reference.md from the schema, and docs/verification.md from the tables of checks
	.venv/bin/python -m compiler.reference
	.venv/bin/python -m tests.verify.listing

# --- The flagship on your own engine. Nothing is published or stored outside this directory until one of these is called.

# The client that reaches an engine, and Compose: looked for only by the targets that need them.
engine = $(or $(shell .venv/bin/python -m compiler.verify.engine),$(error no container engine))
DOCKER = $(firstword $(engine))
# Variables of these names may be set for something else; what counts is build/.env, or the file that ENV_FILE names.
ENV_FILE ?= build/.env
COMPOSE = env -u CONTAINER_NAME -u IMAGE_NAME -u HTTP_PORT -u APPOS_DATA_PATH \
    $(wordlist 2,3,$(engine)) --env-file $(ENV_FILE) -f build/docker-compose.yml

build: all  ## The same as make: set up and compile appos.yaml into build/

image: build  ## Build the image appos:latest from build/Dockerfile
	DOCKER_BUILDKIT=1 $(DOCKER) build -f build/Dockerfile -t appos:latest . || { echo \
	  "make: where no registry can be reached, make lab makes stand-ins for the base images, for tests" >&2; exit 1; }

image-local: build payload  ## Build the image appos:latest from build/Dockerfile.local and what is built here
	DOCKER_BUILDKIT=1 $(DOCKER) build -f build/Dockerfile.local -t appos:latest .

payload: dashboard backend convex  ## Make what Dockerfile.local copies: just as the production image has it

# taken STAGE, PATH, FILE: the result of a stage of build/Dockerfile.
define taken
	DOCKER_BUILDKIT=1 $(DOCKER) build -q -f build/Dockerfile --target $(1) -t appos-$(1):built .
	rm -rf $(3)
	container=$$($(DOCKER) create appos-$(1):built none) && { $(DOCKER) cp $$container:$(2) $(3) && $(DOCKER) rm $$container; } >/dev/null
endef

dashboard: build
	$(call taken,dashboard,/build/dist,dashboard/dist)

backend: build
	$(call taken,backend,/build/main,backend/main)

convex: build  ## Get the Convex binary out of its image, unless build/convex-backend was given
	@[ -x build/convex-backend ] || { container=$$($(DOCKER) create $(CONVEX) none) && \
	  $(DOCKER) cp $$container:/convex/convex-local-backend build/convex-backend && $(DOCKER) rm $$container; } || { echo \
	  "make: $(CONVEX) cannot be had here: put the executable at build/convex-backend, or try where the registry can be reached" >&2; \
	  exit 1; }

CONVEX = $(shell sed -n 's/^FROM \(.*\) AS convex-libraries$$/\1/p' build/Dockerfile)

start: setup  ## Start the container; the dashboard is at http://127.0.0.1:9091/
	$(COMPOSE) up --detach --no-build

stop: setup  ## Stop the container; it and its data stay
	$(COMPOSE) stop

restart: setup  ## Restart the container
	$(COMPOSE) restart

logs: setup  ## Follow the log
	$(COMPOSE) logs --follow

shell: setup  ## A shell in the container
	$(COMPOSE) exec appos sh

status: setup  ## The state of the container and of each service
	$(COMPOSE) ps
	$(COMPOSE) exec -T appos supervisorctl status

lock:  ## Pin and hash the requirements again
	requirements/lock

clean:  ## Remove what make made: the container and the image if there are any, but neither data nor build/
	-[ ! -x .venv/bin/python ] || [ -z "$$(.venv/bin/python -m compiler.verify.engine 2>/dev/null)" ] || { \
	  $(COMPOSE) down --remove-orphans && $(DOCKER) image rm -f appos:latest; }
	rm -rf .venv .cache dist .hypothesis .mypy_cache .pytest_cache .ruff_cache backend/main dashboard/dist dashboard/node_modules
	rm -f compiler/_templates.py compiler/_validator.py
	find compiler tests -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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
