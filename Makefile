# ciyuan: the ways in. `make` or `make help` lists them; each does first what it needs.
# Needs: CPython 3.11 or newer with venv, and make. Everything else is installed into .venv from requirements.lock.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV  := .venv
BIN   := $(VENV)/bin
READY := $(VENV)/.ready
WARM  := $(VENV)/.kernels
RUN   ?= runs/month
DATA  ?= ../shared/data
ONLY  ?=
TESTS ?= tests
JOBS  ?= 2
# The tests of what `make compile` compiles: they run once more on it, if it is there.
DOOR  := tests/services/door/test_
TWICE := tests/basics/test_rows.py \
	$(wildcard $(addprefix tests/gateway/test_,answer*.py ask*.py ending.py legs.py messages.py refusals.py route*.py settlement.py sse.py usage*.py)) \
	$(filter-out $(addprefix $(DOOR),exam% find% invoice% registry% usage%),$(wildcard $(DOOR)*.py))

.PHONY: help setup compile run test check bench soak browser servers lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

setup: $(WARM) ## make .venv from requirements.lock (a second time: nothing to do)

$(READY): requirements.lock pyproject.toml
	@bash scripts/make_venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# A cached kernel does not see that a module it took constants or helpers from has changed: its cache goes with any of them.
$(WARM): $(READY) $(wildcard src/ciyuan/basics/*.py src/ciyuan/ledger/*.py src/ciyuan/gateway/*.py src/ciyuan/exchange/*.py src/ciyuan/clearing/*.py src/ciyuan/factory/*.py)
	@find src -name '*.nbi' -delete -o -name '*.nbc' -delete
	$(BIN)/python -m ciyuan.services.warm
	touch $@

compile: setup ## compile the door (mypyc and a C compiler, two minutes; where it is done, nothing to do)
	@$(BIN)/python scripts/compile_door.py

run: setup ## play the month into runs/month (RUN=folder, DATA=folder of real power prices and usage)
	@extra=()
	power=$(DATA)/grid/prices_hourly_native_2023.csv
	sample=$(DATA)/usage/azure_2023_conv.csv.gz
	if [ -f "$$power" ]; then extra+=(--power "$$power"); else echo "power prices: the catalogue's (DATA=folder for hourly ones)"; fi
	if [ -f "$$sample" ]; then extra+=(--sample "$$sample"); else echo "request sizes: the catalogue's (DATA=folder for a sample)"; fi
	$(BIN)/ciyuan run --out $(RUN) --replace "$${extra[@]}"
	echo "report: $(RUN)/report.html"

test: setup browser servers ## run all tests (TESTS=path for a part, JOBS=n processes)
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(TESTS)
	if [ "$(TESTS)" = tests ] && $(BIN)/python -c "import sys; from ciyuan.services.compiled import build_of; sys.exit(build_of() is None)"; then
		echo "once more, what is compiled:"
		CIYUAN_COMPILED=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(TWICE)
	fi

check: setup ## lint, format, types, floors and form
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_form.py tests/test_purity.py tests/test_house.py tests/test_benchmarks.py

bench: setup ## print the benchmarks and write benchmarks/out/results.json (ONLY=ledger for one)
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

soak: setup ## kill running months and verify; two million commands through both exchanges (slow)
	@$(BIN)/python -m pytest -q -m soak --timeout 0 $(TESTS)

browser: ## see that a Chromium is there for the tests that open the report
	@bash scripts/need_chromium

servers: ## see that PostgreSQL is there for the tests of a shared store
	@bash scripts/need_postgres

lock: ## write requirements.lock anew from pyproject.toml (needs uv on the path)
	@bash scripts/make_lock

clean: ## remove .venv, caches, runs and benchmark results
	@rm -rf $(VENV) runs build dist benchmarks/out .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
