# Needs only make and Python 3.11 or newer; every target sets up its own environment in .venv first.
# Kept to GNU make 3.81 and POSIX tools, so that it runs on a Mac as it comes.

# Set these on the command line: make book PYTHON=python3.12 TORCH_INDEX=https://download.pytorch.org/whl/cpu
PYTHON ?= python3
TORCH_INDEX ?=
URL ?=

PY := .venv/bin/python
READY := .venv/.ready

# One thread: seeds run side by side as processes, and sums come out the same on every machine size.
export OMP_NUM_THREADS := 1
# The kernel "python3" is the one in .venv, whatever else the user has registered.
export JUPYTER_PREFER_ENV_PATH := 1
unexport JUPYTER_PATH
export HYPOTHESIS_STORAGE_DIRECTORY := _build/.hypothesis

.PHONY: help book test check notebooks course bench address clean
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s%s\n", $$1, $$2 }' Makefile

book: $(READY) ## Build the site into _build/html
	@# A page with a warning is not read again, so after a build that failed or was stopped Sphinx must forget what it read.
	@test -f _build/.complete || rm -rf _build/.doctrees
	@rm -f _build/.complete
	.venv/bin/jupyter-book build . -W -n --keep-going || { rm -rf _build/.doctrees; exit 1; }
	@$(PY) tools/pages.py
	@touch _build/.complete

test: book ## Lint, check types, run all tests and every notebook
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m pytest tests

check: book ## Open the site in a real browser (Chromium or Chrome) and look for faults
	@CHROMIUM="$$($(PY) tools/chromium.py)" && export CHROMIUM && $(PY) -m pytest tests/browser tests/course

notebooks: book ## Write the notebook of every chapter, and the pictures of the front page, anew
	$(PY) book/_ext/notebook_edition.py
	$(PY) tools/pictures.py
	@# Once more, so that the site offers the new notebooks for download.
	@$(MAKE) book

course: $(READY) ## Build the assignments: student editions into course/student, autograders into _build/course
	$(PY) -m course.build

bench: $(READY) ## Measure the package against its peers, into benchmarks/ratios.json
	@mkdir -p _build
	$(PY) -m pytest benchmarks --benchmark-columns=median,iqr,rounds --benchmark-json=_build/benchmark.json

address: ## Set the repository's address everywhere: make address URL=https://github.com/you/repository
	@"$(PYTHON)" tools/preflight.py && "$(PYTHON)" tools/address.py "$(URL)"

clean: ## Delete all that was built; the environment .venv stays
	rm -rf _build lrsparse.egg-info

# Not pyproject.toml: what it requires is pinned in constraints.txt too (a test says so), so a new requirement shows there.
$(READY): constraints.txt
	@command -v "$(PYTHON)" >/dev/null || { echo "There is no $(PYTHON): install Python 3.11 or newer, or name yours: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" tools/preflight.py
	@$(PY) -c "" 2>/dev/null || "$(PYTHON)" -m venv --clear .venv
	@# Without the dependencies, because an index of torch alone may lack the tested versions of the others.
	test -z "$(TORCH_INDEX)" || $(PY) -m pip install --no-deps --index-url "$(TORCH_INDEX)" -c constraints.txt torch
	$(PY) -m pip install -c constraints.txt -e ".[book,real,course,test]"
	@touch $(READY)
