# make demo:      set up, run the pipeline on images that it draws, show where the report is
# make test-fast: lint, types and unit tests: while working
# make test:      set up, check format, lint and types, run all tests but those of test-more, and
#                 one small pipeline
# make test-more: what is slow or needs more of the system: a browser, the wheel in an empty
#                 environment, other versions of Python, every config, more pipelines, one of them
#                 on a SLURM that the tests bring up
# make test-slurm: on that SLURM what is stopped, killed, cut off or broken, too
# make docs:      the documentation as a site, in site/
# make coverage:  which lines the tests of `make test` run, in one process: takes twice as long

PYTHON ?= python3.11
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

# One process of tests for each core. Their threads wait asleep: those that spin take the cores
# from one another.
PYTEST := OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0 \
	pytest --numprocesses $(CORES) --dist loadfile --no-loadscope-reorder

.PHONY: demo docs test-fast test test-more test-slurm coverage lint clean

demo: .venv/installed
	snakemake --cores $(CORES) --resources gpu=1
	@cat results/report/headline.txt

docs: .venv/installed
	mkdocs build --strict

test-fast: lint
	$(PYTEST) -m "not slow and not more"

test: lint
	snakemake --lint
	$(PYTEST) -m "not more"

test-more: .venv/installed
	$(PYTEST) -m "more and not (slurm and slow)"

test-slurm: .venv/installed
	pytest -m slurm

coverage: .venv/installed
	coverage run -m pytest -m "not more"
	coverage report

lint: .venv/installed
	ruff format --check .
	ruff check .
	mypy

.venv/installed: pyproject.toml envs/constraints.txt envs/install.sh
	PYTHON=$(PYTHON) envs/install.sh .venv test
	touch $@

clean:
	rm -rf site .venv .mypy_cache .pytest_cache .ruff_cache .coverage
