# Every target makes the virtual environment it needs; a second run costs nothing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SOURCES := pyproject.toml constraints.txt CMakeLists.txt $(shell find cpp -type f)

.DEFAULT_GOAL := help
.PHONY: help demo test check sanitize format docs bench clean

help: ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(READY): $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

$(VENV)/.bench: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@

demo: $(READY) ## train a character language model on real text and show what it learned (a minute)
	$(BIN)/elman demo

test: $(READY) ## run all tests
	$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup

check: $(READY) sanitize ## format, lint, types, layers between packages, generated pages, sanitizers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/elman cells --write docs/cells --check

sanitize: $(READY) ## run the core under the thread, address and undefined sanitizers (two minutes)
	for kind in thread address,undefined; do \
	  $(BIN)/cmake -S . -B build/$$kind -DELMAN_SANITIZE=$$kind && $(BIN)/cmake --build build/$$kind --parallel 2 \
	    && build/$$kind/sanitize || exit 1; \
	done

format: $(READY) ## format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY) ## write the generated pages (docs/cells)
	$(BIN)/elman cells --write docs/cells

bench: $(VENV)/.bench ## measure against every peer, on a machine with nothing else to do (about 25 minutes)
	$(BIN)/python -m benchmarks.run

clean: ## remove the virtual environment and what was built
	rm -rf $(VENV) build
