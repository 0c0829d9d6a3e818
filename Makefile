# make demo     watch memprobe find a leak in a live notebook kernel
# make test     everything a change must pass: ruff, mypy, pytest
# make help     all targets
#
# The targets make their own .venv with the first Python >= 3.10 they find.
# Another one:  make test PYTHON=/path/to/python3.12

VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
CHOICE := python3 python3.13 python3.12 python3.11 python3.10 python
FIND    = for p in $(CHOICE); do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' \
	2>/dev/null && echo $$p && break; done
PYTHON ?= $(shell $(FIND))

PYENV  := $(or $(PYENV_ROOT),$(HOME)/.pyenv)

# The Java that Spark's tests start, as Spark itself looks for it. Nothing else here needs one.
JAVA         := $(if $(JAVA_HOME),$(JAVA_HOME)/bin/java,java)
JAVA_VERSION := sed -n 's/.* version "\([0-9]*\).*/\1/p'
LEAST_JAVA   := 17

# What the demo's notebook needs beside memprobe itself.
DEMO_NEEDS := ipykernel pandas

# The notebook whose contrast is kept as a sample.
SHOWN := scenarios/contrast/shown-and-collected/leaky.ipynb

# An installation is done again only when what it depends on has changed.
READY_DEMO := $(VENV)/.ready-demo
READY_DEV  := $(VENV)/.ready-dev

# The Spark tests once more with the oldest Spark that is supported; it does not know pandas 3.
OLD_SPARK   := 3.5
SPARK_NEEDS := 'pyspark~=$(OLD_SPARK).0' pyarrow 'pandas<3' ipykernel pytest pytest-timeout hypothesis
SPARK_TESTS  = $(wildcard tests/*/test_spark_*.py)
READY_SPARK := $(VENV)/.ready-spark

# The native walker, built where the sources are; without a compiler everything runs without it.
WALKER       := probes/memprobe_probes/walker.c $(wildcard probes/memprobe_probes/native/*.[ch])
READY_WALKER := $(VENV)/.ready-walker
BUILD_WALKER := $(BIN)/python setup.py --quiet build_ext --inplace

# The walkers that a probe takes along to another machine, for Linux on both kinds of processor.
READY_CARRIED := $(VENV)/.ready-walkers

# Two files of tests at a time: kernels and JVMs mostly wait to be started. Each file shares its own.
BY_FILE := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help demo native test lint accuracy contrast picture benchmark allocations report-day peers benchmark-snapshot benchmark-spark reclaim soak soak-attach test-matrix clean benchmark-seed benchmark-account
.DEFAULT_GOAL := help
.NOTPARALLEL:

help:
	@echo 'make demo         watch memprobe find a leak in a live notebook kernel'
	@echo 'make test         everything a change must pass: lint, then all tests (they start Spark,'
	@echo '                  which needs Java)'
	@echo 'make lint         ruff and mypy'
	@echo 'make native       build the native walker in place; fails where it does not compile'
	@echo 'make walkers      build the walkers that probes take along to other machines (with Zig)'
	@echo 'make accuracy     run every labelled scenario, write reports/accuracy.md'
	@echo 'make contrast     contrast every labelled pair, write reports/contrast-sample.*'
	@echo 'make picture      draw the README'"'"'s picture again, from a real run of the demo'
	@echo 'make page         write reports/contrast-sample.html from a real contrast, draw its picture'
	@echo 'make benchmark    what memprobe run and other profilers cost, write reports/overhead.md'
	@echo '                  (an hour; goes on where it was cut off; PAIRS=6 for a shorter one)'
	@echo 'make allocations  what --memray and --tracemalloc cost, write reports/allocations.md'
	@echo 'make report-day   how long a report on a 24-hour recording takes, write reports/report.md'
	@echo 'make peers        ask other tools about ten of the scenarios, write reports/peers.md'
	@echo 'make benchmark-snapshot  what a look at the whole heap costs, write reports/snapshot.md'
	@echo '                  (an hour; goes on where it was cut off)'
	@echo 'make benchmark-account  how much of real loads the memory account can name, write reports/account.md'
	@echo 'make benchmark-spark  what fixes on Spark give back and what a job costs, write reports/spark.md'
	@echo '                  (goes on where it was cut off; PAIRS=10 for a shorter one)'
	@echo 'make reclaim      what memprobe release predicts and what comes back, write reports/reclaim.md'
	@echo '                  (goes on where it was cut off)'
	@echo 'make benchmark-seed  an ETL on Spark as notebook and as script, and what is said of notebooks,'
	@echo '                  write reports/notebook-vs-script.md (15 minutes; goes on where it was cut off)'
	@echo 'make soak         2,000 snapshots of a kernel hard at work, write reports/soak.md'
	@echo '                  (goes on where it was cut off; MINUTES=20 of one piece)'
	@echo 'make soak-attach  attaches to processes of every kind and Python, write reports/attach.md'
	@echo '                  (goes on where it was cut off; MINUTES=15 of one piece)'
	@echo 'make test-matrix  the tests on every Python from 3.10 to 3.13 that is installed, and those'
	@echo '                  that start Spark with Spark $(OLD_SPARK) too'
	@echo 'make clean        remove .venv and everything that was built'

demo: $(READY_DEMO) $(READY_WALKER)
	@$(BIN)/memprobe demo

test: java lint walkers
	$(BIN)/python -m pytest $(BY_FILE)

# First of all, so that nobody waits for minutes to hear it.
.PHONY: java
java:
	@version=$$($(JAVA) -version 2>&1 | $(JAVA_VERSION)); \
	  test "$${version:-0}" -ge $(LEAST_JAVA) || { echo 'error: the tests start Spark, which needs' \
	  'Java $(LEAST_JAVA) or newer (Debian: apt-get install openjdk-17-jre-headless)' >&2; exit 2; }

native: $(READY_DEV)
	MEMPROBE_REQUIRE_WALKER=1 $(BUILD_WALKER)
	@touch $(READY_WALKER)

.PHONY: walkers
walkers: $(READY_CARRIED)

$(READY_CARRIED): setup.py $(WALKER) | $(READY_DEV)
	@echo 'building the walkers for other machines'
	@$(BIN)/python setup.py --quiet build_walkers
	@touch $@

lint: $(READY_DEV) $(READY_WALKER)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

accuracy: $(READY_DEV) $(READY_WALKER)
	$(BIN)/python scenarios/harness.py

# The contrasts that docs and reports show, and whether every labelled pair comes out as expected.
contrast: $(READY_DEV) $(READY_WALKER)
	$(BIN)/python scenarios/contrast/judge.py
	$(BIN)/memprobe contrast --exit-zero $(SHOWN) --output reports/contrast-sample.txt
	$(BIN)/memprobe contrast --exit-zero $(SHOWN) --output-format json --output reports/contrast-sample.json

picture: $(READY_DEV) $(READY_WALKER)
	$(BIN)/python docs/images/make_report.py

.PHONY: page
page: $(READY_DEV) $(READY_WALKER)
	$(BIN)/python docs/images/make_page.py

benchmark: $(READY_DEV) $(READY_WALKER)
	$(BIN)/python benchmarks/overhead.py $(if $(PAIRS),--pairs $(PAIRS))

benchmark-account: $(READY_DEV) $(READY_WALKER)
	$(BIN)/python benchmarks/account.py

allocations: $(READY_DEV) $(READY_WALKER)
	$(BIN)/python benchmarks/allocations.py

report-day: $(READY_DEV) $(READY_WALKER)
	$(BIN)/python benchmarks/report_day.py

peers: $(READY_DEV) $(READY_WALKER)
	$(BIN)/python benchmarks/peers.py

benchmark-snapshot: $(READY_DEV) $(READY_WALKER)
	$(BIN)/python benchmarks/snapshot.py

benchmark-spark: $(READY_DEV) $(READY_WALKER)
	$(BIN)/python benchmarks/spark.py $(if $(PAIRS),--pairs $(PAIRS))

reclaim: $(READY_DEV) $(READY_WALKER)
	$(BIN)/python benchmarks/reclaim.py

benchmark-seed: $(READY_DEV) $(READY_WALKER)
	$(BIN)/python benchmarks/seed.py $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SIZES),--sizes $(SIZES))

soak: $(READY_DEV) $(READY_WALKER)
	$(BIN)/python benchmarks/soak.py $(if $(MINUTES),--minutes $(MINUTES))

soak-attach: $(READY_DEV) $(READY_WALKER)
	$(BIN)/python benchmarks/attach.py $(if $(MINUTES),--minutes $(MINUTES))

# One virtual environment per version, inside .venv; a missing version is said, not failed.
# The last one has the oldest Spark that is supported, and what goes with that.
test-matrix: java
	@tested=0; for v in 3.10 3.11 3.12 3.13; do found=; \
	  for p in python$$v $(PYENV)/versions/$$v.*/bin/python$$v; do \
	    "$$p" -c 'import venv, ensurepip' 2>/dev/null && found=$$p && break; done; \
	  test -n "$$found" || { echo "== Python $$v is not installed: skipped"; continue; }; \
	  echo "== Python $$v: $$found"; \
	  $(MAKE) --no-print-directory pytest PYTHON="$$found" VENV=.venv/matrix-$$v || exit 1; \
	  tested=$$((tested + 1)); \
	done; test $$tested -gt 0 || { echo 'error: no Python from 3.10 to 3.13 found'; exit 2; }
	@for p in python3.11 $(PYENV)/versions/3.11.*/bin/python3.11; do \
	  "$$p" -c 'import venv, ensurepip' 2>/dev/null || continue; \
	  echo "== Spark $(OLD_SPARK), Python 3.11: $$p"; \
	  exec $(MAKE) --no-print-directory pytest-spark PYTHON="$$p" VENV=.venv/matrix-spark-$(OLD_SPARK); \
	done; echo '== Spark $(OLD_SPARK): Python 3.11 is not installed: skipped'

.PHONY: pytest pytest-spark
pytest: $(READY_DEV) $(READY_WALKER)
	$(BIN)/python -m pytest $(BY_FILE)

pytest-spark: $(READY_SPARK) $(READY_WALKER)
	$(BIN)/python -m pytest $(SPARK_TESTS)

clean:
	rm -rf $(VENV) build dist *.egg-info src/*.egg-info probes/*.egg-info
	rm -f probes/memprobe_probes/walker.*.so src/memprobe/walkers/*.so
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis benchmarks/.cache
	find src probes tests scenarios benchmarks -name __pycache__ -type d -exec rm -rf {} +

$(BIN)/python:
	@test -n '$(PYTHON)' || { echo 'error: no Python >= 3.10 with venv found'; \
	  echo '  help: install one (Debian: apt install python3-venv), or name it: make PYTHON=…'; exit 2; }
	@echo "making $(VENV) with $(PYTHON)"
	@mkdir -p $(VENV)
	@$(PYTHON) -m venv $(VENV)

$(READY_DEMO): pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing memprobe and what the demo needs'
	@$(PIP) -e . $(DEMO_NEEDS)
	@touch $@ $(READY_WALKER)

$(READY_DEV): pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing memprobe and what its development needs'
	@$(PIP) -e '.[dev]'
	@touch $@ $(READY_DEMO) $(READY_WALKER)

# With the versions of constraints.txt, but for those two packages.
$(READY_SPARK): pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing memprobe and Spark $(OLD_SPARK)'
	@grep -v -E '^(pandas|pyspark)=' constraints.txt >$(VENV)/constraints.txt
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet \
	  -c $(VENV)/constraints.txt -e . $(SPARK_NEEDS)
	@touch $@ $(READY_DEMO) $(READY_WALKER)

# The demo's environment has no setuptools: there pip brings it, as it did the first time.
$(READY_WALKER): setup.py $(WALKER) | $(READY_DEMO)
	@echo 'building the native walker'
	@$(BIN)/python -c 'import setuptools.command.bdist_wheel' 2>/dev/null \
	  && $(BUILD_WALKER) || $(PIP) --no-deps -e .
	@touch $@
