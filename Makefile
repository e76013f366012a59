# Every command of this project; `make` alone lists them. Nothing here needs root.
#
# Needed: Python 3.11 or newer with venv, make, and a package index that pip can reach. What is installed goes into .venv
# and nowhere else, at the versions and hashes of the two lock files. Kept to what GNU make 3.81 knows, which macOS ships.

MAKEFLAGS += --no-print-directory
VENV := .venv
BIN := $(VENV)/bin
# One more than a small machine has cores: some tests wait, for a limit or a process, and leave theirs to others
# meanwhile. Each process more costs five to ten seconds of a core, to read all tests and to warm up.
WORKERS ?= 3

# Where this is set, every start compiles everything anew, and every worker of the tests rewrites every test.
unexport PYTHONDONTWRITEBYTECODE

# A stamp stands for "installed as these files ask". It lies inside .venv, so that it goes when .venv goes.
RUN := $(VENV)/.installed
DEV := $(VENV)/.installed-dev

.PHONY: help setup demo test bench torture check fmt lock clean

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: $(RUN)  ## install what runs into .venv (the other commands do this by themselves)
	@echo "setup: $(VENV) is ready"

demo: $(RUN)  ## see a newsletter go out on this machine alone; ONCE=1 ends by itself
	@$(BIN)/dispatcher demo $(if $(filter-out 0,$(ONCE)),--once) $(ARGS)

test: $(DEV)  ## run all tests; ARGS="-k gate" chooses, WORKERS=8 uses more cores
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

bench: $(DEV)  ## measure campaigns and pages on this machine, six minutes; ARGS="--people 50000" chooses sizes
	@$(BIN)/dispatcher bench --people 100000,10000,1000000 --json bench.json $(ARGS)

torture: $(DEV)  ## kill it, unplug it, lie to it, at length; ARGS="--kills 50 --seed 7" chooses
	@$(BIN)/python -m tests.torture $(ARGS)

check: $(DEV)  ## formatting, lint, types, floors, then all tests; TESTS=0 leaves the tests out
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@test "$(TESTS)" = 0 || $(MAKE) test

fmt: $(DEV)  ## format the code and mend what ruff can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: $(RUN)  ## write both lock files anew from pyproject.toml; ARGS=--upgrade takes the newest versions
	@tools/lock $(ARGS)

clean:  ## remove .venv and all caches; var/, where data lies, is kept
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage dist
	@find dispatcher tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN): pyproject.toml requirements.lock
	@tools/install $(VENV) requirements.lock
	@touch $@

$(DEV): $(RUN) requirements-dev.lock
	@tools/install $(VENV) requirements-dev.lock
	@touch $@
