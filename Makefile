# Two commands do everything: `make demo` and `make test`. The first call of either makes .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
# A process per core with one thread each: threads of two processes on the same cores wait for each other. Which tests
# belong together, and which come first, tests/conftest.py says.
PARALLEL := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-long lint format docs clean

demo: $(STAMP)
	$(BIN)/mmccd demo --output demo

test: $(STAMP)
	$(BIN)/pytest -m openvino
	$(PARALLEL) --cov --cov-report=term-missing:skip-covered --cov-fail-under=95 -m "not slow and not openvino"

test-long: $(STAMP)
	$(BIN)/pytest -m openvino
	$(PARALLEL) -m "not openvino"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell src tests docs benchmarks README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --conf-dir docs --doctree-dir docs/_build/doctrees . docs/_build/html
	@echo docs/_build/html/index.html

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) must be Python 3.11 or later with venv"; \
	    echo "hint: apt-get install python3-venv, or make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) demo build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .coverage
