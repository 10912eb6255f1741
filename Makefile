# Everything runs from here: by hand, in CI and in the docs. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The first Python that is new enough and can make a virtual environment; or say `make PYTHON=…`.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)
JOBS ?= 2
# Handed to pip and to pytest: make PIP_ARGS="--extra-index-url …", make test ARGS="-k paper".
PIP_ARGS ?=
ARGS ?=

ROOMS := configs envs baselines eval train
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed


.PHONY: help setup demo test test-slow test-all lint docs format bench zoo clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: $(INSTALLED) ## make .venv and install the package with everything it needs

demo: $(INSTALLED) ## train PPO, evaluate it beside the baselines, draw the picture
	$(BIN)/python -m slicegym.train.demo

test: $(INSTALLED) ## the fast tests
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow" $(ARGS)

# Stolen work: some of these take a minute, and the order of the files says nothing of it.
test-slow: $(INSTALLED) ## the slow tests: the installed wheel, training, clusters, thousands of cases
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m slow $(ARGS)

test-all: test-slow test ## every test

lint: $(INSTALLED) ## style, formatting and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(INSTALLED) ## the documentation as a site, in build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

format: $(INSTALLED) ## format the code and sort its imports
	$(BIN)/ruff check --select I --fix
	$(BIN)/ruff format

bench: $(INSTALLED) ## measure the speed of simulator, environments and training
	$(BIN)/slicegym-eval bench

# A run that is finished in runs/zoo is not repeated; without that folder all is made from nothing.
zoo: $(INSTALLED) ## train, compare and write the shipped policies, and their table: takes hours
	$(BIN)/slicegym-train zoo --jobs $(JOBS) --table docs/zoo.md $(ARGS)

clean: ## remove builds and caches; .venv and results stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# Runs again only when what is to be installed changes. torch goes first and by itself: asked for
# together with packages that only want "some torch", pip may fetch a build of several gigabytes.
$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "slicegym needs Python 3.11 or newer with the venv module," \
		"and none was found: install one, or name it with make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "Setting up $(VENV): once, a few minutes."
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt torch
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e '.[train,dev]'
	touch $@
