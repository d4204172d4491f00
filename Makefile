# The targets of gaugepost. `make` alone lists them.
PYTHON ?= python3
JOBS ?= 4
BIN := .venv/bin
PURE := gaugepost_tasks gaugepost.states gaugepost.durations gaugepost.transitions gaugepost.verdict

.DEFAULT_GOAL := help
.PHONY: help demo unit test chaos bench lint types cover check lock docs secrets clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: .venv/demo.done ## show everything on this machine: one job of every kind and every failure
	@$(BIN)/gaugepost demo $(DEMO)

unit: .venv/dev.done ## run the tests that start no process: about a minute
	@$(BIN)/python -m pytest -q -n auto --dist worksteal -m "not starts_process" $(TEST)

test: .venv/dev.done ## run all tests, with a real Redis, real workers and the simulator; root installs missing programs by apt
	@ops/install-programs.sh
	@ops/install-client.sh
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(TEST)

chaos: .venv/dev.done ## break everything at random for SECONDS=600 (SEED=…, FAILOVER=1), count, add a row to docs/chaos.md
	@SECONDS="$(SECONDS)" SEED="$(SEED)" FAILOVER="$(FAILOVER)" PYTHONPATH="$(CURDIR)/tests" $(BIN)/python -m support.chaos

bench: .venv/demo.done .venv-bench/bench.done .venv-bench/bench-arq.done ## measure the speed beside other queues: 25 minutes on a quiet machine (BENCH=--quick: two; BENCH=--help)
	@$(BIN)/python -m benchmarks $(BENCH)

lint: .venv/dev.done ## ruff, its formatter, and the one-way imports
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports --no-cache

types: .venv/dev.done ## mypy --strict and pyright
	@$(BIN)/mypy
	@$(BIN)/pyright

cover: .venv/dev.done ## check that tests reach every line and branch of the pure parts
	@$(BIN)/python -m pytest -q -n 2 tests/unit/tasks tests/unit/test_*.py $(PURE:%=--cov=%) --cov-branch --cov-report=term-missing:skip-covered --cov-fail-under=100

check: lint types cover test ## all that CI runs

docs: .venv/dev.done ## write the generated parts of the docs: states, settings, keys, jobs, Redis users
	@$(BIN)/python ops/docs.py

secrets: ## make the passwords of docker-compose.yml in ./secrets, once: Redis, Flower, Grafana
	@umask 022; mkdir -p -m 700 secrets; new() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }; \
	test -s secrets/redis_url || echo "redis://:$$(new)@redis:6379/0" > secrets/redis_url; \
	test -s secrets/flower_basic_auth || echo "operator:$$(new)" > secrets/flower_basic_auth; \
	test -s secrets/grafana_password || new > secrets/grafana_password; \
	echo "passwords are in ./secrets: log in to Flower with those of secrets/flower_basic_auth"

lock: .venv/dev.done ## pin the requirements again, with hashes and without index lines (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  pyproject.toml --extra worker --extra web --extra simulator --extra embedded requirements/demo.in --output-file requirements/demo.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  pyproject.toml --all-extras requirements/demo.in requirements/dev.in --constraint requirements/demo.txt --output-file requirements/dev.txt
	@for set in dev-sdist bench bench-arq; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-annotate requirements/$$set.in --output-file requirements/$$set.txt; \
	done

clean: ## remove what the targets made, embedded data of the demo included
	@rm -rf .venv .venv-bench .gaugepost/demo .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache .coverage dist build

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "gaugepost needs Python 3.11 or newer; try make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; } # a half-made one, without pip, would stay

# Installed from its lock (ops/install.sh); the package itself from this checkout, so that a change here takes effect there.
.venv/%.done: requirements/%.txt pyproject.toml ops/install.sh | .venv/bin/python
	@echo "setting up .venv ($*): once, and it may take a minute" >&2
	@ops/install.sh .venv $< --editable .
	@touch $@ $(if $(filter dev,$*),.venv/demo.done)

# The peers of `make bench`. arq needs an older redis-py than the others: it has an environment inside theirs.
.venv-bench/bench.done: peers = .venv-bench
.venv-bench/bench-arq.done: peers = .venv-bench/arq
.venv-bench/bench-arq.done: | .venv-bench/bench.done
.venv-bench/%.done: requirements/%.txt ops/install.sh
	@echo "setting up $(peers)" >&2
	@$(PYTHON) -m venv $(peers)
	@ops/install.sh $(peers) $<
	@touch $@
