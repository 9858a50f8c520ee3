# Each target makes what it needs: a virtual environment with the package (editable) and its tools.
#   make test PYTHON=python3.12     another interpreter
#   make test VENV=/tmp/venv        another place for the environment
#   make pytest ARGS="-k retry -x"  some tests, in one process; ARGS="-n 0": all of them in one
#   make test PROCESSES=4           all of them in four processes, each with servers and workers of its own (about 1 GB)

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
PROCESSES ?= 2
PY := $(VENV)/bin/python
RUN := $(VENV)/bin
EXTRAS := postgres,mysql,redis,testing

INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format types imports spelling pytest mutants compat bench clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make the virtual environment

demo: $(INSTALLED) ## A workflow survives kill -9, shown in the terminal
	$(PY) -m examples.order

test: lint types imports spelling pytest ## Every check, then the tests

lint: $(INSTALLED) ## ruff: rules and format
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .

format: $(INSTALLED) ## Rewrite the code as ruff wants it
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

types: $(INSTALLED) ## mypy strict on the package; mypy and pyright on what users see of it
	$(RUN)/mypy
	$(RUN)/mypy tests/typing
	$(RUN)/pyright --pythonpath $(PY)

imports: $(INSTALLED) ## The architecture's layers
	$(RUN)/lint-imports

spelling: $(INSTALLED) ## codespell
	$(RUN)/codespell

# Whole files go to a process: what a file's tests share is made once.
pytest: $(INSTALLED) ## The tests alone
	$(PY) -m pytest $(or $(ARGS),-n $(PROCESSES) --dist loadfile)

mutants: $(INSTALLED) ## Switch each safeguard off: the tests must notice
	$(PY) -m tests.mutants $(ARGS)

compat: $(INSTALLED) ## Celery's own integration tests, with and without Aiki
	$(PY) -m tests.compat.run_celery_suite $(ARGS)

bench: $(INSTALLED) ## Measure, beside the bare drivers, DBOS and absurd
	$(PY) -m benchmarks $(ARGS)

clean: ## Remove the virtual environment and every cache
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(PY) -m pip install --quiet --editable '.[$(EXTRAS)]' --group dev
	touch $@
