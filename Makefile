# `make run` scores the template policy on the sample grid, `make test` runs the tests, `make bundle` builds the zip
# that organizers upload.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/ready

.PHONY: run test lint reference bundle clean

run: $(READY)
	$(VENV)/bin/python starting_kit/kit.py run

test: $(READY)
	$(VENV)/bin/python -m pytest

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

reference: $(READY)
	$(VENV)/bin/python tools/reference.py

bundle: $(READY) keys/signing.key
	$(VENV)/bin/python tools/bundle.py build

# Made once: what was sealed with lost keys stays closed, so `clean` leaves them alone.
keys/signing.key: | $(READY)
	$(VENV)/bin/python tools/bundle.py keys

clean:
	rm -rf $(VENV) output build dist *.egg-info

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and f"Python 3.10 or newer is needed, {sys.version.split()[0]} was found. Next: make run PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check '.[test]'
	@touch $@
