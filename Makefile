# make demo    the main job on the sample estate
# make test    everything that CI checks
# Each does its own set-up, once: a second run reuses .venv. On Windows, see README.md.

.DELETE_ON_ERROR:
.PHONY: help demo test check fix warm lock picture dashboard clean

PY = .venv/bin/python
RUN = .venv/.installed
DEV = .venv/.installed-dev
WARM = .venv/.warm
KERNELS = pro/placement/engines/kernels.py

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile
	@echo 'make check   lint, types, imports'
	@echo 'make fix     format, and mend what the linter can'
	@echo 'make dashboard   the demo estate in a browser'
	@echo 'make lock    newest versions into the locks'
	@echo 'make picture     the picture in README.md, drawn again'
	@echo 'make clean   away with .venv and caches'

demo: $(WARM)
	@$(PY) -m pro demo --out demo-out

test: check $(WARM) .venv/.browser
	$(PY) -m pytest -n 2 --dist loadfile

check: $(DEV)
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	$(PY) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'
	$(PY) tools/strip_notebooks.py --check

fix: $(DEV)
	$(PY) -m ruff check --fix
	$(PY) -m ruff format
	$(PY) tools/strip_notebooks.py

warm: $(WARM)

dashboard: $(WARM)
	@test -d demo-out/store || $(PY) -m pro demo --out demo-out
	@$(PY) -m pro dashboard --store demo-out/store

picture: $(WARM) $(DEV)
	$(PY) -m docs.picture

$(RUN): requirements.lock pyproject.toml tools/setup.sh
	sh tools/setup.sh requirements.lock
	@touch $@

$(DEV): $(RUN) requirements-dev.lock
	sh tools/setup.sh requirements-dev.lock
	@touch $@

$(WARM): $(RUN) $(KERNELS)
	@echo 'compiling the search, once'
	@$(PY) -c 'from pro.placement.engines.warm import warm, warm_wide; warm(); warm_wide()'
	@touch $@

.venv/.browser: tools/browser.sh $(RUN)
	sh tools/browser.sh
	@touch $@

# The locks hold versions and hashes, and no addresses, so that any mirror serves. uv.lock is a by-product.
lock:
	uv lock --upgrade
	uv export --frozen --no-header --no-emit-project --no-dev --group build --format requirements-txt -o requirements.lock >/dev/null
	uv export --frozen --no-header --no-emit-project --format requirements-txt -o requirements-dev.lock >/dev/null

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find pro tests -name __pycache__ -type d -prune -exec rm -rf {} +
