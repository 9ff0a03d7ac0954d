# make train   train the default agent on the default task, and evaluate it
# make test    run the tests
# make check   lint, formatting, types
# make torture  run the long tests: what a run survives, with a table of the figures that show it
# make bench   measure the speed of environments and of training
#
# Each sets up .venv by itself when it is missing or older than what it is made from.

PYTHON ?= python3
PY := .venv/bin/python

.PHONY: train test check torture bench clean

train: .venv/ready
	$(PY) -m scripts.train $(ARGS)

test: .venv/ready
	$(PY) -m pytest $(ARGS)

check: .venv/ready
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

torture: .venv/ready
	$(PY) -m pytest -m slow --numprocesses 0 $(wildcard tests/test_torture_*.py) $(ARGS)

bench: .venv/ready
	$(PY) -m scripts.benchmark envs
	$(PY) -m scripts.benchmark train
	$(PY) -m scripts.benchmark cores

.venv/ready: constraints.txt setup.cfg pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "Longhold needs Python 3.11 or later: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv --clear .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv build *.egg-info
