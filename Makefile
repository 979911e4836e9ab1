# make demo:      set up, run the pipeline on images that it draws, show where the report is
# make test-fast: lint, types and unit tests: while working
# make test:      set up, check format, lint and types, run all tests but those of test-more, and
#                 one small pipeline; say which lines they ran
# make test-more: what is slow or needs more of the system: a browser, the wheel in an empty
#                 environment, other versions of Python, every config, more pipelines

PYTHON ?= python3.11
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo test-fast test test-more lint clean

demo: .venv/installed
	snakemake --cores $(CORES) --resources gpu=1
	@cat results/report/headline.txt

test-fast: lint
	pytest -m "not slow and not more"

test: lint
	snakemake --lint
	coverage run -m pytest -m "not more"
	coverage report

test-more: .venv/installed
	pytest -m more

lint: .venv/installed
	ruff format --check .
	ruff check .
	mypy

.venv/installed: pyproject.toml envs/constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint envs/constraints.txt --editable '.[test]'
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .coverage
