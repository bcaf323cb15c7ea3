# `make demo`, `make test`; `make help` lists the rest.

PYTHON ?= python3
PORT ?= 5000
TORCH_BACKEND ?=

BIN := .venv/bin
INSTALLED := .venv/.installed
CONSTRAINTS := -c requirements.lock

export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := true
export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
.PHONY: demo repro test lint ui bench clean help

demo: $(INSTALLED)  ## set up, and run every stage on the built-in data set
	$(BIN)/python scripts/repro.py --glob '*@shapes'

repro: $(INSTALLED)  ## run everything in params.yaml; names at its end what could not be had
	$(BIN)/python scripts/repro.py

test: $(INSTALLED)  ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4

lint: $(INSTALLED)  ## ruff, format check, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

ui: $(INSTALLED)  ## MLflow's UI on this project's store (PORT=5000)
	$(BIN)/python -c 'from vaelab import tracking; tracking.prepare()'
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui --workers 1 --port $(PORT) \
		--backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}"

bench: $(INSTALLED)  ## measure speed
	$(BIN)/python benchmarks/shapes.py
	$(BIN)/python benchmarks/training.py

clean:  ## remove what the stages and tools wrote, git's files excepted; keeps .venv, data/downloads
	git clean -fdxq --exclude=/data/downloads -- data models metrics reports dvc_plots \
		mlflow.db mlflow.db-shm mlflow.db-wal mlartifacts mlruns .vaelab \
		.dvc/cache .dvc/tmp .mypy_cache .pytest_cache .ruff_cache
	find src tests scripts benchmarks experiments -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## this list
	@awk -F ':.*##' '/^[a-z]+:.*##/ { printf "make %-6s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo 'The first call installs into .venv: PYTHON=python3.12 names the interpreter, and'
	@echo 'TORCH_BACKEND=cpu takes PyTorch'\''s CPU wheels (cu128, rocm7.1, ... work too).'

$(INSTALLED): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'VAE Lab needs Python 3.11 or newer; name one: make demo PYTHON=python3.12' >&2; exit 1; }
	$(PYTHON) -m venv .venv
ifneq ($(TORCH_BACKEND),)
	$(BIN)/pip install --quiet $(CONSTRAINTS) uv
	$(BIN)/uv pip install --python $(BIN)/python --torch-backend=$(TORCH_BACKEND) \
		$(CONSTRAINTS) torch torchvision
endif
	$(BIN)/pip install $(CONSTRAINTS) -e '.[dev]'
	touch $@
