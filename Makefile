# make run         set everything up and train the example: three parties on this machine
# make test        set everything up and pass the tests: what it does, and that it does it well
# make end-to-end  trainings on real tables beside scikit-learn, every command of the docs, every audit
# make test-fast   without whatever is slow
# make lint        check types, style and layers
# make attacks     the attacks, all of them tried; ends with a list of what was tried
# make mutants     mutants of every plan against the audit, TFE_KIT_MUTANTS=all for all of them
# make test-kind   the tests on a Kubernetes cluster of their own; needs docker, kind, helm, kubectl
# make fuzz        a million inputs to the readers of what people write, ten million to the parsers
#                  of what peers and strangers say; some hours
# make bench       compare with tf-encrypted as published and with SPU, side by side; rewrites the
#                  figures of bench/README.md
# make generated   write again what follows from deployer/manifests/values.py
# make screenshots take the pictures of docs/ again; needs chromium
# make sbom        write a bill of materials (CycloneDX) of what is installed, sbom.json
# make sbom-image  the same of the image, with Debian's packages, Python and OpenSSL, sbom-image.json
# make lock        choose the newest versions that pyproject.toml allows

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test lint end-to-end test-fast attacks mutants test-kind fuzz bench lock generated screenshots sbom sbom-image format image clean

# The first Python on the path that will do; PYTHON=... names another.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2> /dev/null \
	&& { echo $$p; break; }; done)
BIN := .venv/bin
# The tests start some hundreds of Pythons: bytecode is kept, whatever a machine has them do.
unexport PYTHONDONTWRITEBYTECODE
# Of tests that are marked drawn, a third of the cases, and a third of the files that come in turn,
# by the commit; TFE_KIT_CASES=all for all.
export TFE_KIT_CASES ?= some
# One process more than there are cores, for those that wait. Tests of one file share what they
# build, and ports: they stay in one process.
export PYTEST_XDIST_AUTO_NUM_WORKERS ?= $(shell echo $$(($$(nproc) + 1)))
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder
LOCKS := requirements.lock requirements-dev.lock
SOURCES := pyproject.toml setup.py party/native/instructions.py $(wildcard party/native/*.c party/native/*.h)

# These are part of make attacks and make mutants.
SANITIZED := tests/native/test_build.py::test_the_library_is_clean_under_the_sanitizers
APART := --ignore tests/attacks --ignore tests/fuzz --ignore tests/audit/test_mutants.py \
	--deselect $(SANITIZED)
# Whole runs, with faults and without, all pages of the docs, the audit of every plan, and what
# TensorFlow computes: of every plan bit for bit, and of each step of it. They take the longest.
WHOLE := tests/schedule/test_oracle.py tests/protocols/test_dealing.py tests/e2e tests/faults \
	tests/combinations tests/docs tests/audit tests/bench \
	tests/deployer/commands/test_estimated_runs.py \
	tests/python/test_notebook.py tests/test_wheel.py

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

.venv/packages: $(LOCKS)
	@test -n "$(PYTHON)" || { echo 'error: no Python 3.11 to 3.13 on the path; install python3 and python3-venv, or say PYTHON=...' >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { echo 'error: this Python cannot make virtual environments; install python3-venv' >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes $(LOCKS:%=-r %)
	@touch $@

.venv/kit: .venv/packages $(SOURCES)
	@$(BIN)/python setup.py check_native
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: .venv/kit
	$(BIN)/deployer run --output out

test: .venv/kit
	$(PYTEST) -m 'not kind' $(APART) $(WHOLE:%=--ignore %)

end-to-end: .venv/kit
	$(PYTEST) -m 'not kind' $(APART) $(WHOLE)

test-fast: .venv/kit
	$(PYTEST) -m 'not kind and not slow' $(APART) $(WHOLE:%=--ignore %)

attacks: .venv/kit
	$(PYTEST) -m 'not kind' tests/attacks tests/fuzz $(SANITIZED)

mutants: .venv/kit
	$(BIN)/python -m pytest -n auto tests/audit/test_mutants.py

lint: .venv/kit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror party/native/*.[ch] tests/attacks/*.c tests/attacks/fuzz/*.c

test-kind: .venv/kit
	$(PYTEST) -n 2 -m kind tests/kind

fuzz: .venv/kit
	$(BIN)/python -m tests.fuzz
	$(BIN)/python -m tests.attacks.fuzzing

bench: .venv/kit
	$(BIN)/python -m bench --readme

format: .venv/packages
	$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .
	$(BIN)/clang-format -i party/native/*.[ch] tests/attacks/*.c tests/attacks/fuzz/*.c

sbom: .venv/packages
	$(BIN)/python -W ignore -m cyclonedx_py requirements requirements.lock --pyproject pyproject.toml \
	  --output-reproducible --output-file sbom.json

sbom-image: sbom image
	docker run --rm -i tfe-kit python -c "$$(cat .ci/image_bill.py)" < sbom.json > sbom-image.json

generated: .venv/kit
	$(BIN)/python -m deployer.manifests.reference

screenshots: .venv/kit
	$(BIN)/python -m tests.docs.screenshots

image:
	docker build --tag tfe-kit .

# Without an index in it, so that the same lock serves behind a mirror.
LOCK := UV_CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/uv pip compile --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --quiet --upgrade
lock: .venv/packages
	$(LOCK) pyproject.toml --extra party --group compiler --output-file requirements.lock
	$(LOCK) --group dev --group bench --constraint requirements.lock --output-file requirements-dev.lock

clean:
	rm -rf .venv build out *.egg-info party/native/*.so
