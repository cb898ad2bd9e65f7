PYTHON ?= python3
VENV := .venv
PIP := -q --disable-pip-version-check --no-compile # most of what is installed is never imported

# Tests start Python hundreds of times: keep compiled modules also where a machine says otherwise.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help demo test faults browser test-pandas22 check docs bench bench-bars bench-growth bench-official examples chart notebook frontend frontend-page clean

help:
	@echo "make demo           the whole way on a made-up account, into data/demo/"
	@echo "make test           the tests, at a size that takes a few minutes"
	@echo "make faults         faults, 300 kills, 1,000 flips, large histories, ten times the random cases (an hour)"
	@echo "make browser        pages and notebooks in a real Chromium; with axe-core after make frontend"
	@echo "make test-pandas22  the tests that depend on pandas, on pandas 2.2"
	@echo "make check          ruff, mypy and import-linter"
	@echo "make docs           the documentation site, into build/site/"
	@echo "make bench          the comparison table (some minutes)"
	@echo "make bench-bars     work beside the best written by hand, with aims (an hour)"
	@echo "make bench-growth   the cost of a row in small and large histories (12 minutes)"
	@echo "make bench-official the comparison with the official command line and SDK; needs npm"
	@echo "make examples       run the examples of README and docs, and write what they print"
	@echo "make chart          draw the pictures of README and docs again"
	@echo "make notebook       JupyterLab on notebooks/, with everything installed"
	@echo "make frontend       lint, test and bundle what notebooks load from frontend/; needs node 20.19 or newer"
	@echo "make frontend-page  the front end on a made-up kernel, at frontend/test/page.html"
	@echo "make clean          remove what make made"

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "histkit needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: $(VENV)/bin/python pyproject.toml
	$(VENV)/bin/python -m pip install $(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	$(VENV)/bin/python -m pip install $(PIP) -e ".[dev]"
	@touch $@ $(VENV)/.base

$(VENV)/.notebook: $(VENV)/bin/python pyproject.toml
	$(VENV)/bin/python -m pip install $(PIP) -e ".[notebook]"
	@touch $@ $(VENV)/.base

demo: $(VENV)/.base
	@$(VENV)/bin/histkit demo

test: $(VENV)/.dev
	@$(VENV)/bin/python -m pytest -n auto --dist worksteal
	@echo "All tests passed. Try next: make demo, make check, make bench, make notebook"

faults: $(VENV)/.dev
	@$(VENV)/bin/python -m pytest -n auto --dist worksteal -m "faults or hypothesis" --hypothesis-profile thorough --timeout 3600
	@$(VENV)/bin/python tools/faults.py --write

browser: $(VENV)/.dev
	@$(VENV)/bin/python -m pytest -m browser -n 2 --dist loadfile

# Its own pandas, and everything else from $(VENV).
.venv-pandas22/.dev: $(VENV)/.dev
	$(VENV)/bin/python -m venv --clear --without-pip .venv-pandas22
	@$(VENV)/bin/python -c 'import sysconfig as s; print("import site; site.addsitedir(%r)" % s.get_path("purelib"))' \
		> "$$(.venv-pandas22/bin/python -c 'import sysconfig as s; print(s.get_path("purelib"))')/dev.pth"
	$(VENV)/bin/python -m pip --python .venv-pandas22 install $(PIP) "pandas==2.2.*"
	@touch $@

# Frames, what is counted from them, and the files they are written to and read from. The rest does the same on any pandas.
ON_PANDAS := frame usage money retakes test_dask.py test_accessor.py test_bad_input.py \
	archive/test_load.py archive/test_sync_accounts.py plotting/test_charts.py plotting/test_usage.py \
	reports/test_frames.py reports/test_report.py reports/test_scope.py reports/test_statement.py \
	notebook/test_selection.py notebook/test_series.py notebook/test_sorting.py notebook/test_windows.py

test-pandas22: .venv-pandas22/.dev
	@.venv-pandas22/bin/python -m pytest -n auto --dist worksteal --hypothesis-profile few $(ON_PANDAS:%=tests/%)
	@echo "All tests that depend on pandas passed on pandas 2.2."

check: $(VENV)/.dev
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-cache

docs: $(VENV)/.dev
	@$(VENV)/bin/zensical build --strict --clean
	@echo "build/site/index.html"

bench: $(VENV)/.dev
	@$(VENV)/bin/python -m benchmarks

bench-bars: $(VENV)/.dev
	@$(VENV)/bin/python -m benchmarks.bars --write

bench-growth: $(VENV)/.dev
	@$(VENV)/bin/python -m benchmarks.growth --write

bench-official: $(VENV)/.dev
	@$(VENV)/bin/python -m benchmarks.official

examples: $(VENV)/.dev
	@$(VENV)/bin/python tools/examples.py

chart: $(VENV)/.dev
	@$(VENV)/bin/python tools/pictures.py

notebook: $(VENV)/.notebook
	$(VENV)/bin/jupyter lab --notebook-dir=notebooks

frontend/node_modules/.package-lock.json: frontend/package-lock.json
	cd frontend && npm ci --silent

frontend: frontend/node_modules/.package-lock.json
	@cd frontend && npm run --silent lint && npm run --silent types && npm test --silent && npm run --silent build

frontend-page: frontend/node_modules/.package-lock.json
	@cd frontend && npm run --silent page && python3 -m http.server --bind 127.0.0.1 --directory test 8123

clean:
	rm -rf $(VENV) .venv-pandas22 .cache build dist data/demo .mypy_cache .pytest_cache .ruff_cache .hypothesis frontend/node_modules frontend/test/build
