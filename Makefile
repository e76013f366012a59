# Every command of this project; `make` alone lists them. Nothing here needs root.
#
# Needed: Python 3.11 or newer with venv, make, and a package index that pip can reach. What is installed goes into .venv
# and nowhere else, at the versions and hashes of the lock files. Kept to what GNU make 3.81 knows, which macOS ships.

MAKEFLAGS += --no-print-directory
VENV := .venv
BIN := $(VENV)/bin
# One more than a small machine has cores: some tests wait, for a limit or a process, and leave theirs to others
# meanwhile. Each process more costs five to ten seconds of a core, to read all tests and to warm up.
WORKERS ?= 3

# Where this is set, every start compiles everything anew, and every worker of the tests rewrites every test.
unexport PYTHONDONTWRITEBYTECODE

# What runs for each letter and each row can be compiled (tools/compile). That is a copy: nothing in a checkout is hidden
# by something older. Python finds the copy first, and does not look into the folder that it is called in.
COPY := build/compiled
COMPILED := $(COPY)/.compiled
AS_COMPILED := PYTHONSAFEPATH=1 PYTHONPATH="$(CURDIR)/$(COPY):$(CURDIR)"
# Crash points are put into modules from outside, which those that are compiled do not see.
HEART := tests/compose tests/domain tests/sending tests/smtp tests/torture tests/worker --ignore=tests/torture/test_crash_points.py

# A stamp stands for "installed as these files ask". It lies inside .venv, so that it goes when .venv goes.
RUN := $(VENV)/.installed
DEV := $(VENV)/.installed-dev

.PHONY: help setup demo test bench torture compiled check fmt lock clean

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: $(RUN)  ## install what runs into .venv (the other commands do this by themselves)
	@echo "setup: $(VENV) is ready"

demo: $(RUN)  ## see a newsletter go out on this machine alone; ONCE=1 ends by itself
	@$(BIN)/dispatcher demo $(if $(filter-out 0,$(ONCE)),--once) $(ARGS)

test: $(DEV)  ## run all tests; ARGS="-k gate" chooses, WORKERS=8 uses more cores
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

bench: $(COMPILED)  ## measure campaigns and pages on this machine, ten minutes; ARGS="--people 50000" chooses sizes
	@$(AS_COMPILED) $(BIN)/dispatcher bench --people 100000,10000,1000000 --json bench.json $(ARGS)

torture: $(if $(FAST),$(COMPILED),$(DEV))  ## kill it, unplug it, lie to it, at length; ARGS="--kills 50 --seed 7" chooses
	@$(if $(FAST),$(AS_COMPILED)) $(BIN)/python -m tests.torture $(ARGS)

compiled: $(COMPILED)  ## compile a copy of the package in build/compiled, and run the heart's tests on it
	@$(AS_COMPILED) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --import-mode=append $(HEART) $(ARGS)

check: $(DEV)  ## formatting, lint, types, floors, then all tests; TESTS=0 leaves the tests out
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@test "$(TESTS)" = 0 || $(MAKE) test

fmt: $(DEV)  ## format the code and mend what ruff can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: $(RUN)  ## write the lock files anew from pyproject.toml; ARGS=--upgrade takes the newest versions
	@tools/lock $(ARGS)

clean:  ## remove .venv and all caches; var/, where data lies, is kept
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage dist build
	@find dispatcher tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN): pyproject.toml requirements.lock
	@tools/install $(VENV) requirements.lock
	@touch $@

$(DEV): $(RUN) requirements-dev.lock
	@tools/install $(VENV) requirements-dev.lock
	@touch $@

$(COMPILED): $(DEV) tools/compile $(shell find dispatcher templates -type f ! -name '*.pyc')
	@rm -rf $(COPY)
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install --no-deps --no-build-isolation --no-compile --target $(COPY) .
	@$(BIN)/python tools/compile $(COPY)
	@touch $@
