# Every target sets up what it needs in .venv; nothing else on the machine is touched.
#   make demo ARGS=--forever      keep the demo running
#   MICROPYTHON=path UMQTT=folder another interpreter, another umqtt (the folder holds umqtt/simple.py)
PYTHON ?= python3
BIN := .venv/bin
PIP = $(BIN)/pip install -q --disable-pip-version-check -c constraints.txt
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo test interop soak mutants bench lint format clean setup

demo: setup
	@$(BIN)/python -m tools demo $(ARGS)

# The tests mostly wait for one another: four at a time fit on two cores.
test: setup
	@$(BIN)/python -m pytest -n 4 --dist loadfile $(ARGS)

interop: setup
	@$(BIN)/python -m pytest -m interop $(ARGS)

soak: setup
	@$(BIN)/python -m pytest -m soak $(ARGS)

mutants: setup
	@$(BIN)/python -m host_tests.mutants $(ARGS)

bench: setup
	@$(BIN)/python -m tools bench $(ARGS)

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/codespell
	@$(BIN)/mypy
	@$(BIN)/python docs/check_links.py --citations

format: setup
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# The stubs of MicroPython are for mypy alone, so they have a folder of their own.
setup: .venv/ready

.venv/ready: pyproject.toml setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "python3 is older than 3.10: name another with PYTHON=…")'
	@$(PYTHON) -m venv --clear .venv || { echo "python3 cannot make a virtual environment: install python3-venv" >&2; exit 1; }
	@echo "Setting up .venv, once …"
	@$(PIP) -e '.[dev]'
	@$(PIP) --target .venv/stubs micropython-esp32-stubs
	@$(BIN)/python -m tools umqtt >/dev/null
	@touch $@

clean:
	rm -rf .venv build .pytest_cache .ruff_cache .mypy_cache .hypothesis
