# Everything happens in .venv, which the first target that needs it fills from locked requirements.

EXTRAS ?=
ARGS ?=
# The newest Python that TensorFlow has a build for. Each is tried: a name on PATH may lead nowhere.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c $(FITS) 2>/dev/null && { echo $$python; break; }; done)
FITS := 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
VENV_PACKAGE = $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
PIP := .venv/bin/python -m pip --quiet --disable-pip-version-check

comma := ,
ASKED := $(subst $(comma), ,$(EXTRAS))
UNKNOWN := $(filter-out cpu gpu gp bench test,$(ASKED))
ifneq ($(UNKNOWN),)
$(error EXTRAS takes cpu, gpu, gp, bench and test, not $(UNKNOWN))
endif

# A stamp for each set of requirements, written when all of it is in place.
STAMP := .venv/.installed-
# An environment with CUDA stays one until `make clean`.
GPU := $(or $(filter gpu,$(ASKED)),$(if $(wildcard $(STAMP)gpu),gpu))
ADDED := $(patsubst %,$(STAMP)%,$(filter gp bench test,$(ASKED)))
TO_RUN := $(STAMP)$(or $(GPU),cpu) $(ADDED) $(STAMP)project
TO_DEVELOP := $(if $(GPU),$(STAMP)gpu) $(STAMP)test $(ADDED) $(STAMP)project

# What a set downloads into an empty cache.
cpu.size := 500 MB
test.size := 600 MB
gpu.size := several GB
gp.size := several GB
bench.size := several GB

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install search test test-compose check reference lock clean unfinished

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

install: $(TO_RUN) ## Make .venv; EXTRAS="gp bench" adds to it, EXTRAS=gpu takes TensorFlow with CUDA

search: install ## Search a synthetic volume in a few minutes (configs/quick.toml); ARGS="--trials 20"
	@.venv/bin/unet-search run configs/quick.toml $(ARGS)

test: $(TO_DEVELOP) ## Run the tests in three processes; ARGS="-k metrics" selects some, -n0 takes one
	@.venv/bin/python -m pytest -n 3 --no-loadscope-reorder $(ARGS)

test-compose: $(TO_DEVELOP) ## Build the image and try the whole stack; needs a Docker engine
	@.venv/bin/python -m pytest tests/compose $(ARGS)

check: $(TO_DEVELOP) ## Check style, types and the import rules
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/python -m pytest -q tests/test_architecture.py

reference: $(TO_DEVELOP) ## Write the page of all dimensions anew
	.venv/bin/python -m search.reference > docs/dimensions.md

lock: ## Write the locked requirements anew (needs uv); ARGS=--upgrade takes newer versions
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv" >&2; exit 1; }
	sh requirements/lock.sh $(ARGS)

clean: ## Delete .venv and all caches; runs and data stay
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find $(wildcard search storage trainer tests benchmarks) -name __pycache__ -prune -exec rm -rf {} +

# An installation that was cut short is not built upon: half a package can look like a whole one.
ifneq ($(wildcard .venv/.unfinished),)
.venv/.made: unfinished
endif
# Debian and Ubuntu ship one half of venv in a package of its own.
.venv/.made:
	@$(or $(PYTHON),false) -c $(FITS) 2>/dev/null || { \
		echo "Python 3.11 to 3.13 is needed, found none of them: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { \
			echo "Python cannot make environments yet: sudo apt-get install $(VENV_PACKAGE)" >&2; exit 1; }; \
		echo "Installing $(VENV_PACKAGE) ..."; apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(VENV_PACKAGE) >/dev/null; }
	@{ [ ! -e .venv/.unfinished ] && $(PIP) --version >/dev/null 2>&1; } || $(PYTHON) -m venv --clear .venv
	@touch $@

$(STAMP)project: pyproject.toml .venv/.made
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# Every set holds the packages of cpu.txt. tensorflow and tensorflow-cpu are the same files: where the
# one with CUDA is asked for, the other one stays out.
$(STAMP)%: requirements/%.txt .venv/.made
	@echo "Installing $<: a minute or so, after a download of up to $($*.size) ..."
	@touch .venv/.unfinished
	@$(if $(GPU),$(PIP) uninstall --yes tensorflow-cpu 2>/dev/null)
	@awk $(if $(GPU),'/^tensorflow-cpu==/ {out = 1} !out; !/\\$$/ {out = 0}',1) $< > .venv/$*.txt
	@$(PIP) install --require-hashes --only-binary :all: -r .venv/$*.txt
	@rm .venv/.unfinished
	@touch $@ $(if $(GPU),,$(STAMP)cpu)
