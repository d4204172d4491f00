# gaugepost: what one can do here. `make` alone lists it.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
PURE := gaugepost_tasks gaugepost.states gaugepost.durations gaugepost.transitions gaugepost.verdict

.DEFAULT_GOAL := help
.PHONY: help demo test chaos lint types cover check lock docs clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: .venv/demo.done ## show it all on this machine alone: one job of every kind and every failure class
	@$(BIN)/gaugepost demo $(DEMO)

test: .venv/dev.done ## run all tests, against a real Redis, real workers and the simulator
	@$(BIN)/python -m pytest $(TEST)

chaos: .venv/dev.done ## break everything at random for SECONDS=600 (SEED=…), count, add a row to docs/chaos.md
	@SECONDS="$(SECONDS)" SEED="$(SEED)" PYTHONPATH="$(CURDIR)/tests" $(BIN)/python -m support.chaos

lint: .venv/dev.done ## ruff, its formatter, and the one-way imports
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports --no-cache

types: .venv/dev.done ## mypy --strict and pyright
	@$(BIN)/mypy
	@$(BIN)/pyright

cover: .venv/dev.done ## the pure parts must be covered whole, every branch
	@$(BIN)/python -m pytest -q tests/unit/tasks tests/unit/test_*.py $(PURE:%=--cov=%) --cov-branch --cov-report=term-missing:skip-covered --cov-fail-under=100

check: lint types cover test ## all that CI runs

docs: .venv/dev.done ## make the generated parts of the README anew: states, settings, keys
	@$(BIN)/python ops/docs.py

lock: .venv/dev.done ## pin the requirements anew, with hashes and without index lines (needs uv)
	@for set in demo "demo dev"; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-annotate pyproject.toml --all-extras $$(printf 'requirements/%s.in ' $$set) \
	    --output-file requirements/$${set##* }.txt; \
	done

clean: ## remove what the targets made, embedded data of the demo included
	@rm -rf .venv .gaugepost/demo .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache .coverage dist build

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "gaugepost needs Python 3.11 or newer; try make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv .venv

# Installed from hash-checked pins; the package itself from this checkout, so that a change here is live there.
.venv/%.done: requirements/%.txt pyproject.toml | .venv/bin/python
	@echo "setting up .venv ($*)" >&2
	@$(PIP) install --require-hashes -r requirements/$*.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(if $(filter dev,$*),.venv/demo.done)
