# `make run` scores the template policy on the sample grid, `make test` runs the tests.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/ready

.PHONY: run test lint reference clean

run: $(READY)
	$(VENV)/bin/python starting_kit/kit.py run

test: $(READY)
	$(VENV)/bin/python -m pytest

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

reference: $(READY)
	$(VENV)/bin/python tools/reference.py

clean:
	rm -rf $(VENV) output build *.egg-info

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and f"Python 3.10 or newer is needed, {sys.version.split()[0]} was found. Next: make run PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check '.[test]'
	@touch $@
