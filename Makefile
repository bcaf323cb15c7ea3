# `make demo`, `make test`; `make help` lists the rest.

PYTHON ?= python3
PORT ?= 5000
TORCH_BACKEND ?=

BIN := .venv/bin
INSTALLED := .venv/.installed
# The lock as constraints: uv verifies its hashes, and takes no more of it than the machine needs.
# PyTorch's own index has other files than those whose hashes the lock knows.
INSTALL := $$(command -v uv) pip install --python $(BIN)/python \
	--constraints requirements.lock --build-constraints requirements.lock \
	$(if $(TORCH_BACKEND),--torch-backend=$(TORCH_BACKEND) --no-verify-hashes) --editable

export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := true
export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: setup demo repro quick test lint docs ui plots bench sweep lock audit extras clean help

setup: $(INSTALLED)  ## install into .venv, as every other target does first

demo: $(INSTALLED)  ## set up, and run every stage on the built-in data set
	$(BIN)/python scripts/repro.py '*@shapes'

repro: $(INSTALLED)  ## run everything in params.yaml; names at its end what could not be had
	$(BIN)/python scripts/repro.py

quick: $(INSTALLED)  ## every stage on a few hundred shapes, in .vaelab/quick, to try a change of code
	$(BIN)/python scripts/quick.py

test: $(INSTALLED)  ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

lint: $(INSTALLED)  ## ruff, format check, types, spelling, links of the documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/typos
	$(BIN)/lychee .

docs: $(INSTALLED)  ## pages of the packages from their docstrings, in docs/api
	$(BIN)/python -W 'ignore:Error parsing' -W 'ignore:Suppressed' -m pdoc -o docs/api vaelab

ui: $(INSTALLED)  ## MLflow's UI on this project's store, a link for each data set (PORT=5000)
	@$(BIN)/python scripts/ui.py $(PORT)

plots: dvc_plots/vega.js  ## DVC's page of curves and pictures, which needs no network
	$(BIN)/dvc plots show

bench: $(INSTALLED)  ## measure speed and memory: an hour on 2 idle cores
	$(BIN)/python benchmarks/shapes.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/stages.py
	$(BIN)/python benchmarks/pipeline.py
	if test -d data/cifar10; then $(BIN)/python benchmarks/quality.py cifar10; fi
	$(BIN)/python benchmarks/stages.py --image-size 64 --count 200000 --epochs 1 --beside 0

sweep: $(INSTALLED)  ## FC and Conv at 8 to 256 latent dimensions; SWEEP='cifar10 --seeds 1' takes others
	$(BIN)/python scripts/sweep.py $(or $(SWEEP),shapes)

lock: | $(BIN)/python  ## requirements.lock anew, after a change of pyproject.toml
	$(BIN)/python scripts/lock.py

audit: $(INSTALLED)  ## known vulnerabilities of the locked versions, and everything's licence
	$(BIN)/python scripts/audit.py

extras: $(INSTALLED)  ## install what CelebA's download, FID and PostgreSQL need
	$(INSTALL) '.[celeba,fid,postgres]'

clean:  ## remove what the stages and tools wrote; keeps .venv, data/downloads, pictures in data/
	rm -rf .vaelab $(dir $(wildcard data/*/meta.json))
	git clean -fdxq -- models samplers metrics reports dvc_plots docs/api \
		mlflow.db mlflow.db-shm mlflow.db-wal mlartifacts mlruns \
		.dvc/cache .dvc/tmp .mypy_cache .pytest_cache .ruff_cache
	find src tests scripts benchmarks experiments -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## this list
	@awk -F ':.*##' '/^[a-z]+:.*##/ { printf "make %-6s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo 'The first call installs into .venv: PYTHON=python3.12 names the interpreter (remove .venv'
	@echo 'to change it), TORCH_BACKEND=cpu takes PyTorch'\''s CPU wheels (cu128, rocm7.1, ... work too).'

dvc_plots/vega.js: $(INSTALLED)
	@mkdir -p $(@D)
	@$(BIN)/python -c 'import vl_convert; print(vl_convert.javascript_bundle())' > $@

$(INSTALLED): pyproject.toml requirements.lock | $(BIN)/python
	@echo 'Installing into .venv'
	@$(INSTALL) '.[dev]'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null || { \
		echo 'VAE Lab needs Python 3.11 to 3.14, and $(PYTHON) is not one; name one: make demo PYTHON=python3.12' >&2; exit 1; }
	@rm -rf .venv
	@if command -v uv >/dev/null; then \
		uv venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv; \
	elif $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
		$(PYTHON) -m venv .venv && sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.txt && \
		$(BIN)/python -m pip install --quiet --require-hashes --requirement .venv/uv.txt; \
	else \
		echo 'VAE Lab needs uv, or venv of $(PYTHON): pip install uv, or apt install python3-venv' >&2; exit 1; \
	fi
