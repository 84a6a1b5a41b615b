"""Tests with the released LeRobot, in its own environment: `make test-lerobot`; skipped where there is none."""

import os
import subprocess
from pathlib import Path

import pytest

from smp_bringup.lerobot.deployment import PYTHON_VARIABLE

OLD_VARIABLE = "SMP_LEROBOT_OLD_PYTHON"
"""Interpreter of an environment with LeRobot 0.3, which wrote v2.1."""


def _environment(variable):
    python = os.environ.get(variable, "")
    if not python or not Path(python).exists():
        pytest.skip(f"{variable} names no interpreter: make test-lerobot")
    return python


@pytest.fixture(scope="session")
def lerobot_python():
    return _environment(PYTHON_VARIABLE)


@pytest.fixture(scope="session")
def old_python():
    return _environment(OLD_VARIABLE)


@pytest.fixture(scope="session")
def run_there():
    """Run a program of LeRobot's environment; what it prints is shown where it fails."""

    def run(*command, limit_s=600):
        offline = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [str(word) for word in command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False, env=kept | offline)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return done.stdout

    return run
