# make demo   installs what a user needs into .venv and runs `pima demo` (figures in demo-output/)
# make test   installs the rest, lints and runs the tests
# make slow   runs those that take more than about five seconds: kills, several processes, empty caches, coverage
# make tutorials   runs every tutorial from its first cell to its last
# make browser     drives the panels in JupyterLab in a real Chromium
# make docs   builds the site into docs/_build/html
# make pythons     installs the wheel on each Python of pyproject.toml that is here, and fits
# make oldest      installs the lower bounds of pyproject.toml, and runs the quick tests of the core
# A second call installs nothing unless pyproject.toml or constraints.txt changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
USED := $(VENV)/.installed-for-use

# The shared test data, where a checkout has them beside it.
ifeq ($(origin PIMA_DATA),undefined)
ifneq ($(wildcard ../shared/data/.),)
export PIMA_DATA := $(abspath ../shared/data)
endif
endif

.PHONY: demo test lint suite slow tutorials browser docs pythons oldest clean

# What a user needs, a third less than what the tests do: unless that is there.
demo: $(if $(wildcard $(STAMP)),$(STAMP),$(USED))
	$(BIN)/pima demo

test: lint suite

# Small arrays: one thread a process is faster than two processes fighting for the same cores. A process that has
# finished its half of the tests takes half of what the other has left.
suite: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not tutorial and not slow" -n auto --dist worksteal --durations=40

slow: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow --durations=20

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python

tutorials: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m tutorial tests/test_tutorials.py

browser: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -c tests/browser/pytest.ini tests/browser

docs: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

pythons: $(STAMP)
	.ci/pythons

oldest:
	benchmarks/lower_bounds.sh

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Python compiles what is imported: a fourth of what pip would compile ahead.
$(USED): $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --no-compile -c constraints.txt -e .
	touch $@

$(STAMP): $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -c constraints.txt -e ".[dev]" -e plugins/pima-plugin-example
	touch $@

clean:
	rm -rf $(VENV) build dist demo-output docs/_build docs/tutorials docs/experts
