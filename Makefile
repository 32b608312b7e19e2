# `make` alone lists the targets. Everything sets itself up: the only need is Python 3.11 or later with venv, and
# for `up`, `down` and the container tests a Docker engine with compose.

# The system's own Python first: as root each role runs with a uid of its own, which must be able to read it.
PYTHONS := /usr/bin/python3 python3 python3.13 python3.12 python3.11
# Looked for where a recipe names it, and only there.
PYTHON ?= $(or $(shell for p in $(PYTHONS); do \
  $$p -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done),\
  $(error there is no Python 3.11 or later with venv; expected Debian's python3-venv, or PYTHON=its path))
# Sources are compiled once: where the environment forbids to keep that, every process begins with it.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
BIN := $(VENV)/bin
ORACLE ?= tests/oracle/cases
BENCH ?= local_delivery
BENCHMARKS = $(filter-out __init__,$(basename $(notdir $(wildcard benchmarks/*.py))))
COMPOSE ?= docker compose
FUZZ_SECONDS ?= 60
POWERCUT_CUTS ?= 20
CRASH_ROUNDS ?= 5
CRASH_MESSAGES ?= 2000
ROLES := smtpd queue delivery-local delivery-remote auth pop3 imap log admin dev

.PHONY: help check test run up down oracle bench fuzz crash powercut damage lock format

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /make \1\t/' | expand -t 16

$(VENV)/ready: lock/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r lock/dev.txt
	@touch $@

check: $(VENV)/ready ## quick: format, lint, types, architecture, unit tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n auto -o faulthandler_timeout=100 -o faulthandler_exit_on_timeout=true $(COVERAGE) \
	  tests/unit tests/architecture

# What needs the machine to itself: containers, kills, losses of power, damaged disks.
ALONE := tests/crash tests/powercut tests/damage tests/containers
# Of the unit tests alone, branches included: a floor that only rises.
test: COVERAGE := --cov --cov-report= --cov-fail-under=87
test: check ## everything; what this machine lacks is skipped, with REQUIRE_ENGINE=1 it fails
	$(BIN)/python -m pytest -q -n auto --dist loadfile tests --ignore=tests/unit --ignore=tests/architecture \
	  $(ALONE:%=--ignore=%)
	$(BIN)/python -m pytest -q $(ALONE)

run: $(VENV)/ready ## the mail server without Docker, in QMAIL_DIR (default var), on ports 2525 2587 2110 2143 2180
	@PYTHONPATH=$(CURDIR) exec $(BIN)/python -P -s -m supervise

up: ## the mail server in containers: docker compose up --build --wait
	@$(COMPOSE) ls >/dev/null || { \
	  echo 'up: no container engine with compose answers to `$(COMPOSE)`; without one there is: make run' >&2; exit 1; }
	$(COMPOSE) up --build --wait $$(sh services/admin/copies.sh $(COMPOSE))

down: ## stop the containers; mail, accounts and queue stay
	$(COMPOSE) down

oracle: $(VENV)/ready ## the recorded cases in ORACLE=DIR (default: the project's own copy)
	@$(BIN)/python -m tests.oracle $(ORACLE)

bench: $(VENV)/ready ## a benchmark, BENCH=name (default local_delivery); beside Postfix, imap and pop3 beside Dovecot
	$(if $(filter $(BENCH),$(BENCHMARKS)),,$(error BENCH is $(BENCH); expected one of $(BENCHMARKS)))
	@$(BIN)/python -m benchmarks.$(BENCH)

fuzz: $(VENV)/ready ## the grammars with random input, FUZZ_SECONDS each (default 60)
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python -m pytest -q tests/fuzz

crash: $(VENV)/ready ## roles, bus and all killed at random, CRASH_ROUNDS (default 5) of CRASH_MESSAGES (2000): nothing lost, nothing back
	CRASH_ROUNDS=$(CRASH_ROUNDS) CRASH_MESSAGES=$(CRASH_MESSAGES) $(BIN)/python -m pytest -q -s tests/crash

powercut: $(VENV)/ready ## POWERCUT_CUTS (default 20) losses of power under load; needs uid 0, loop devices and mkfs.ext4
	POWERCUT_CUTS=$(POWERCUT_CUTS) $(BIN)/python -m pytest -q -s -rs tests/powercut

damage: $(VENV)/ready ## flipped bits, cut and missing files on the bus's disk: each is noticed or harmless
	$(BIN)/python -m pytest -q tests/damage

lock: $(VENV)/ready ## make lock/*.txt anew from pyproject.toml
	@for role in $(ROLES); do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-annotate --no-header --extra $$role --output-file lock/$$role.txt pyproject.toml || exit 1; \
	done

format: $(VENV)/ready ## write the code as ruff has it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
