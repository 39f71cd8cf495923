# Two commands on a fresh machine with Python 3.10+ and a Rust toolchain: `make demo` and `make test`.
PYTHON ?= python3
TEST := .venv
DEMO := .venv-demo
PEERS := .venv-bench
RAY := .venv-ray
TRAIN := .venv-train
BIN := $(TEST)/bin
# Tests of one module share what it fits, so a module stays with one process.
PARALLEL := -n auto --maxprocesses 4 --dist loadscope
SOURCES := $(shell find rust -name '*.rs') Cargo.toml Cargo.lock rust/solver/Cargo.toml rust/python/Cargo.toml pyproject.toml

.PHONY: help demo test test-all test-rust test-python test-ray test-train lint format bench bench-rust bench-python bench-encoders results wheel lock clean
help: ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(DEMO)/.built ## set up and route a simulated batch, offline
	$(DEMO)/bin/omnirouter demo

test: test-rust test-python ## set up and run the default tests

test-all: $(TEST)/.built ## every tier: also the slow tests, and the release build of the Rust tests
	cargo test --release --locked -- --include-ignored
	$(BIN)/python -m pytest $(PARALLEL) -m "not ray and not train"

test-ray: $(RAY)/.built ## the tests on a local Ray cluster, in an environment of their own
	$(RAY)/bin/python -m pytest tests/test_ray.py -m ray

test-train: $(TRAIN)/.built ## the tests that need torch, in an environment of their own (2.5 GB to download)
	$(TRAIN)/bin/python -m pytest tests/test_export_encoder.py tests/test_finetune_encoder.py -m train

test-rust: check-tools
	cargo test --locked

test-python: $(TEST)/.built
	$(BIN)/python -m pytest $(PARALLEL)

lint: $(TEST)/.built ## formats, lints and types
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest omnirouter._core

format: $(TEST)/.built ## rewrite the sources in the house style
	cargo fmt --all
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(PEERS)/.built ## the tables: peers, hard and infeasible instances, passes (simulated data; ARGS=--quick for small ones)
	$(PEERS)/bin/python benches/compare.py $(ARGS)
	$(PEERS)/bin/python benches/hard.py $(ARGS)
	$(PEERS)/bin/python benches/infeasible.py $(ARGS)
	$(PEERS)/bin/python benches/passes.py $(ARGS)

bench-rust: ## criterion benches of the solver; no Python needed
	cargo bench --locked

bench-python: $(TEST)/.built ## pytest-benchmark of the Python face
	$(BIN)/python -m pytest benches/test_speed.py -o addopts="" --benchmark-only

bench-encoders: $(TRAIN)/.built ## encoders on real outcome tables (DATA=folder): log-loss and speed
	$(TRAIN)/bin/python benches/encoders.py $(addprefix $(or $(DATA),../shared/data)/,$(addsuffix .parquet, \
	  routerbench_arc_mbpp cascades_mmlu_truthfulqa_gsm8k medagents_medqa_mmlu bfcl_v1_tools)) $(ARGS)

results: $(PEERS)/.built $(TRAIN)/.built ## write docs/results.md: real outcomes (DATA=folder), throughput, retrieval and make bench
	$(PEERS)/bin/python benches/results.py $(or $(DATA),../shared/data) --train $(TRAIN)/bin/python $(ARGS)

# What torch's Linux wheel asks for but loads only where there is a GPU: a sixth of its 3 GB.
UNUSED_ON_A_CPU := triton nvidia-cusolver nvidia-nvtx nvidia-cuda-cccl cuda-toolkit cuda-bindings cuda-pathfinder

lock: ## pin the environments again (needs uv)
	lock() { uv pip compile -q pyproject.toml --group build --universal --python-version 3.10 --no-annotate \
	  --custom-compile-command "make lock" "$$@"; }; \
	lock --extra predict --extra plot -o requirements/demo.lock; \
	lock --extra predict --extra plot --group dev -o requirements/dev.lock; \
	lock --extra predict --extra plot --group dev --group bench -o requirements/bench.lock; \
	lock --extra ray --group ray-tests -o requirements/ray.lock; \
	lock --extra train --group train-tests $(addprefix --no-emit-package ,$(UNUSED_ON_A_CPU)) -o requirements/train.lock

wheel: check-tools ## build the wheel and try it in a fresh environment; a free-threaded PYTHON gets one of its own
	rm -rf dist .venv-wheel && $(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install -q --disable-pip-version-check $$(grep '^maturin==' requirements/dev.lock)
	.venv-wheel/bin/maturin build --release --locked --interpreter .venv-wheel/bin/python --out dist
	.venv-wheel/bin/python -m pip install -q --disable-pip-version-check dist/omnirouter-*.whl
	cd dist && ../.venv-wheel/bin/python -c "import sys, numpy, omnirouter; \
	  from concurrent.futures import ThreadPoolExecutor as Pool; \
	  rng = numpy.random.default_rng(0); acc, cost = rng.random((20000, 5)), rng.random((20000, 5)); \
	  solutions = list(Pool(8).map(lambda _: omnirouter.solve(acc, cost, budget=5000.0), range(16))); \
	  assert all(omnirouter.verify(s.problem, s).ok and s.bound == solutions[0].bound for s in solutions); \
	  lock = getattr(sys, '_is_gil_enabled', lambda: True)(); \
	  print(sys.version.split()[0], 'numpy', numpy.__version__, '16 verified solves on 8 threads;', 'with' if lock else 'without', 'the GIL')"

clean: ## remove environments and builds
	rm -rf $(TEST) $(DEMO) $(PEERS) $(RAY) $(TRAIN) .venv-wheel dist target demo-output python/omnirouter/_core*.so

.PHONY: check-tools
check-tools:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.10 or newer is needed: no '$(PYTHON)' found; set PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed: '$(PYTHON)' is older; set PYTHON=..." >&2; exit 1; }
	@command -v cargo >/dev/null || { echo "a Rust toolchain is needed to build the solver: install it from https://rustup.rs" >&2; exit 1; }

$(TEST)/.ready: requirements/dev.lock | check-tools
	$(PYTHON) -m venv $(TEST)
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements/dev.lock
	touch $@

$(TEST)/.built: $(TEST)/.ready $(SOURCES)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(RAY)/.ready: requirements/ray.lock | check-tools
	$(PYTHON) -m venv $(RAY)
	$(RAY)/bin/python -m pip install -q --disable-pip-version-check -r requirements/ray.lock
	touch $@

$(RAY)/.built: $(RAY)/.ready $(SOURCES)
	$(RAY)/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# Without dependencies, as the lock leaves some out; without a cache, which would hold another 2.5 GB.
$(TRAIN)/.ready: requirements/train.lock | check-tools
	$(PYTHON) -m venv $(TRAIN)
	$(TRAIN)/bin/python -m pip install -q --disable-pip-version-check --no-cache-dir --no-deps -r requirements/train.lock
	touch $@

$(TRAIN)/.built: $(TRAIN)/.ready $(SOURCES)
	$(TRAIN)/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(DEMO)/.ready: requirements/demo.lock | check-tools
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python -m pip install -q --disable-pip-version-check -r requirements/demo.lock
	touch $@

$(DEMO)/.built: $(DEMO)/.ready $(SOURCES) $(shell find python -name '*.py')
	$(DEMO)/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation .
	touch $@

$(PEERS)/.ready: requirements/bench.lock | check-tools
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install -q --disable-pip-version-check -r requirements/bench.lock
	touch $@

# Installed in place, as the tests' environment is: both use the extension that was built last.
$(PEERS)/.built: $(PEERS)/.ready $(SOURCES)
	$(PEERS)/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@
