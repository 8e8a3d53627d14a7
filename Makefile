# `make run` scores the template policy on the sample grid, `make test` runs the tests, `make bundle` builds the zip
# that organizers upload, and `make rehearse` takes it through both phases as Codabench's worker does. `make verify` does
# all of this and more.
REQUIREMENTS := requirements-test.txt
# The environment, and how to `run` and `clean`, which participants have, too.
include kit.mk
run: $(READY)
$(READY): requirements.txt
# A command of this name may be there and not work, where pyenv keeps several.
first_python = $(shell for p in $(foreach v,$(1),python$(v) $$HOME/.pyenv/versions/$(v).*/bin/python$(v)) $(PYTHON); do $$p -c "" 2>/dev/null && echo $$p && break; done)
# Where `make test` has the platform's Python, its environment is the platform's.
PLATFORM_VENV := $(VENV)$(if $(findstring Python 3.12.,$(shell $(PYTHON) -V 2>&1)),,-platform)
PLATFORM := $(PLATFORM_VENV)/ready
# The packages of the platform's image, as pip reads them: those with a version.
IMAGE := starting_kit/commands/image_packages.yaml
IMAGE_PACKAGES = $(shell sed -n 's/.*name: \([^,]*\),.*version: \([0-9.]*\)[,}].*/\1==\2/p' $(IMAGE))
DASK = $(shell sed -n 's/^dask = \[\(.*\)\]/\1/p' pyproject.toml)
NEWEST_VENV := $(VENV)-newest
NEWEST := $(NEWEST_VENV)/ready

MADE += $(VENV)-platform $(NEWEST_VENV) build dist *.egg-info

.PHONY: test test-guides test-modes test-platform test-newest test-dask lint style types verify reference benchmark leaderboard screenshot bundle rehearse

test: $(READY)
	$(VENV)/bin/python -m pytest

# The guides whose commands build on one another, their programs, and the tutorial's cells, from top to bottom.
test-guides: $(READY)
	$(VENV)/bin/python -m pytest -m guides

# The attacks once more: on the platform, without root, with Landlock's first version, and without Landlock; and the bundle
# that ships, rehearsed.
test-modes: $(READY)
	$(VENV)/bin/python -m pytest -m modes

# What runs on the platform, with its image's packages as in `make test`, and with its Python where the machine has it.
test-platform: $(PLATFORM)
	$(PLATFORM_VENV)/bin/python -m pytest -m platform

# The same with the newest packages: numpy is held back for generated traces, and none is generated here.
test-newest: $(NEWEST)
	$(NEWEST_VENV)/bin/python -m pytest -m platform

# Sweeps and comparisons on Dask: the extra of pyproject.toml, which goes into the tests' environment, and its tests.
test-dask: $(READY)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(DASK)
	$(VENV)/bin/python -m pytest -n 0 tests/test_sweep_dask.py

lint: style types

style: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(READY)
	$(VENV)/bin/mypy

# All that can be verified on this machine, under half an hour on two cores: a table in output/verify.md. CI runs a part.
verify: $(READY)
	$(VENV)/bin/python tools/verify.py

reference: $(READY)
	$(VENV)/bin/python starting_kit/kit.py reference

# Some five minutes, and as many the first time, for traces of full size (2.2 GB in output/benchmark/traces);
# `tools/benchmark.py --quick` needs none, and `--markdown` writes the figures into docs/speed.md and docs/scale.md.
benchmark: $(READY)
	$(VENV)/bin/python tools/benchmark.py

# The gallery on the official grid, three seeds, into docs/: up to three hours and 8 GB at a time in output/, where it goes on
# after an interruption; `tools/leaderboard.py --quick` tries it in seconds.
leaderboard: $(READY)
	$(VENV)/bin/python tools/leaderboard.py

# README's picture: the top of the page that `make run` writes, in Chromium (Debian: apt-get install chromium).
screenshot: run
	chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1100,820 \
		--screenshot=pages/details.png "file://$(CURDIR)/output/scoring/detailed_results.html"

bundle: $(READY) keys/signing.key
	$(VENV)/bin/python tools/bundle.py build

rehearse: $(READY) dist/competition.zip
	$(VENV)/bin/python tools/rehearse.py

# Only where there is none: what is rehearsed is the file that will be uploaded.
dist/competition.zip: | $(READY) keys/signing.key
	$(VENV)/bin/python tools/bundle.py build

# Made once: what was sealed with lost keys stays closed, so `clean` leaves them alone.
keys/signing.key: | $(READY)
	$(VENV)/bin/python tools/bundle.py keys

ifneq ($(PLATFORM),$(READY))
$(PLATFORM): requirements-test.txt requirements.txt $(IMAGE)
	$(call first_python,3.12) -m venv --clear $(PLATFORM_VENV)
	$(PLATFORM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt $(IMAGE_PACKAGES)
	@touch $@
endif

$(NEWEST): requirements-test.txt requirements.txt
	$(call first_python,3.14 3.13 3.12) -m venv --clear $(NEWEST_VENV)
	$(NEWEST_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	$(NEWEST_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --upgrade numpy pandas scipy
	@touch $@
