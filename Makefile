# Every target sets up what it needs by itself: a virtual environment in .venv, reused while
# pyproject.toml and constraints.txt stay as they are.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help demo test test-slow lint types bench clean

help:
	@echo "make demo       install and run the demonstration on the built-in data (about 2 minutes)"
	@echo "make test       install and run the test suite"
	@echo "make test-slow  the tests that take longer"
	@echo "make lint       ruff: lint and format"
	@echo "make types      mypy"
	@echo "make bench      the benchmarks"
	@echo "make clean      remove the environment and what the demonstration wrote"

# pip 25.1 is the first that reads [dependency-groups].
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt "pip>=25.1"
	$(BIN)/python -m pip install --quiet -c constraints.txt --editable ".[all]" --group dev
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/nngmix demo --output nngmix-demo --force

test: $(STAMP)
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python benchmarks/nng_mix.py

clean:
	rm -rf $(VENV) nngmix-demo
