.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

setup: .venv/installed ## make .venv with everything installed (torch is large: some minutes)

demo: setup ## train bls_seta on scikit-learn's digits, one to two minutes on two cores
	$(BIN)/python -m bls_bench.train pruner=bls_seta model=resnet18

test: setup ## run all tests
	$(BIN)/python -m pytest -n auto

lint: setup ## check format and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

.PHONY: help setup demo test lint
