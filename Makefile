# make demo   a virtual environment, the build, a ConvNet on real digits, the kernels' benchmark
# make test   the tests; ARGUMENTS=... for pytest
# make build  only the environment and the build (again after a change of engine/ or kernels/: incremental)
# make lint   form and types
# make gpu    on a machine with a GPU: all proofs and measurements that are owed there, as JSON in runs/gpu;
#             PYTHON=... names a Python that has pybind11, cmake, CuPy and, to compare with, PyTorch
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SOURCES := $(shell find engine kernels -type f -not -path '*/__pycache__/*' 2>/dev/null) CMakeLists.txt setup.py pyproject.toml

.PHONY: demo test build lint gpu clean

build: $(VENV)/.built

$(VENV)/.tools: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(v < (3, 10) and "whitewolf: expected Python 3.10 or later, got %d.%d; name one: make PYTHON=python3.12" % v or 0)'
	@$(PYTHON) -m venv $(VENV) || { echo 'whitewolf: $(PYTHON) -m venv failed (Debian, Ubuntu: apt-get install python3-venv)' >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet 'setuptools>=77.0.3' wheel 'pybind11>=2.13' 'cmake>=3.20.2' 'ninja>=1.10'
	@touch $@

$(VENV)/.built: $(VENV)/.tools $(SOURCES)
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[all]'
	@touch $@

demo: build
	$(BIN)/whitewolf train lenet --out runs/demo
	$(BIN)/whitewolf bench --quick

test: build
	@tests/in_two $(BIN)/python -m pytest $(ARGUMENTS)

lint: build
	$(BIN)/python -m pip install --quiet ruff==0.17.6 mypy==2.4.1 clang-format==19.1.7
	$(BIN)/ruff check python tests docs kernels benchmarks setup.py
	$(BIN)/ruff format --check python tests docs kernels benchmarks setup.py
	$(BIN)/mypy
	@$(BIN)/clang-format --dry-run --Werror $(shell find engine kernels tests/cpp tests/cuda -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh')

gpu:
	$(PYTHON) benchmarks/gpu.py runs/gpu

clean:
	rm -rf build $(VENV) runs python/whitewolf/_*.so python/*.egg-info
