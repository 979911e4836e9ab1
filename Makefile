# make demo: set up, run the pipeline on images that it draws, show where the report is
# make test: set up, check format, lint and types, run all tests

PYTHON ?= python3.11
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo test clean

demo: .venv/installed
	snakemake --cores $(CORES) --resources gpu=1
	@cat results/report/headline.txt

test: .venv/installed
	ruff format --check .
	ruff check .
	snakemake --lint
	mypy
	pytest

.venv/installed: pyproject.toml envs/constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint envs/constraints.txt --editable '.[test]'
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
