# `make run` scores the template policy, starting_kit/policy.py, on the sample grid. The repository's Makefile includes
# this file; in the kit that participants download it is the Makefile.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/ready
REQUIREMENTS ?= requirements.txt
MADE := $(VENV) output

.PHONY: run clean

run: $(READY)
	$(VENV)/bin/python starting_kit/kit.py run

clean:
	rm -rf $(MADE)

# Another Python than the environment's, once it is named, gets an environment of its own.
ifneq ($(origin PYTHON),file)
ifneq ($(shell test -x $(VENV)/bin/python && $(VENV)/bin/python -V),$(shell $(PYTHON) -V))
.PHONY: $(READY)
endif
endif

$(READY): $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and f"Python 3.10 or newer is needed, {sys.version.split()[0]} was found. Next: make run PYTHON=python3.12")'
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 13) or print(f"Python {sys.version.split()[0]} takes current packages: the platform has Python 3.12 and older ones. Next, for those: make run PYTHON=python3.12")'
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $(REQUIREMENTS)
	@touch $@
