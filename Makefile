# All set-up and every common job. A clean clone, an empty home folder, Python 3.11 or newer and pip are enough.
#
#   make demo     the main job on real reviews: a report, a bundle, three predictions
#   make test     the tests (without the slow ones), ruff and mypy
#   make test-all every test
#   make bench    the benchmarks
#   make matrix   export every kind of model to every target, and write docs/export-matrix.md of it (an hour)
#   make docs     write the generated pages of docs/ again
#   make lock     resolve requirements.lock again
#   make clean    remove the environment and caches; runs/ stays
#
# PYTHON       the Python to make the environment with
# VENV         the environment's folder
# TORCH_INDEX  address of an index that offers CPU wheels of torch, where pip's own index does not

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=

BIN := $(VENV)/bin
PACKAGES := $(VENV)/.packages
READY := $(VENV)/.ready
EDGE := $(VENV)/.edge
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
INDEX := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: demo test test-all bench matrix docs lock clean
.DELETE_ON_ERROR:

# The environment is made anew only when the lock changes. The lock is a closure and is installed with --no-deps:
# a torch wheel that declares CUDA packages then pulls none of them.
$(PACKAGES): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is not Python 3.11 or newer."; echo "  try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "Making the environment in $(VENV): a few minutes, once."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --no-deps $(INDEX) -r requirements.lock
	@$(BIN)/python -c 'import torch' 2>/dev/null || \
	  { echo "error: the torch wheel that pip chose needs CUDA libraries."; \
	    echo "  try: make TORCH_INDEX=<address of PyTorch's CPU wheels, see README.md> $(MAKECMDGOALS)"; exit 2; }
	@touch $@

$(READY): $(PACKAGES) pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# What only the tests of some exporters need: nearly a gigabyte.
$(EDGE): requirements-edge.lock $(READY)
	@$(PIP) install --no-deps -r requirements-edge.lock
	@touch $@

demo: $(READY)
	@PATH="$(abspath $(BIN)):$$PATH" scripts/demo

# Files go to the two workers in the order of tests/conftest.py: the longest come first.
SPREAD := -n 2 --dist loadfile --no-loadscope-reorder

test: $(EDGE)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest $(SPREAD) -m "not slow"

test-all: $(EDGE)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest $(SPREAD)

bench: $(READY)
	$(BIN)/python -m benchmarks

matrix: $(EDGE)
	SEEDBED_WRITE_MATRIX=1 $(BIN)/pytest $(SPREAD) $(shell grep -l matrix_page tests/export/test_*.py)

docs: $(READY)
	$(BIN)/python scripts/docs.py

lock: $(READY)
	$(BIN)/python scripts/lock.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
