"""Which files the code takes: a checkout its own, whatever else is sourced; an installed package its prefix's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ASK = "from smp_bringup.paths import named_config; print(named_config('robots', 'aloha').resolve())"


@pytest.fixture
def decoy(tmp_path):
    """A colcon workspace that has installed the package, with files of its own."""
    shared = tmp_path / "install" / "share" / "smp_bringup"
    (shared / "config" / "robots").mkdir(parents=True)
    shutil.copy(ROOT / "package.xml", shared)
    shutil.copy(ROOT / "config" / "robots" / "aloha.yaml", shared / "config" / "robots")
    index = tmp_path / "install" / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "smp_bringup").touch()
    return tmp_path / "install"


def taken(code, prefix):
    """Return the robot file that the package in the folder `code` takes."""
    env = {**os.environ, "PYTHONPATH": str(code), "AMENT_PREFIX_PATH": str(prefix)}
    done = subprocess.run([sys.executable, "-c", ASK], env=env, check=True, capture_output=True, text=True)
    return Path(done.stdout.strip())


def test_a_checkout_takes_its_own_files_whatever_workspace_is_sourced(decoy):
    assert taken(ROOT / "src", decoy) == ROOT / "config" / "robots" / "aloha.yaml"


def test_an_installed_package_takes_the_files_of_its_workspace(decoy, tmp_path):
    code = tmp_path / "lib" / "python3"
    shutil.copytree(ROOT / "src" / "smp_bringup", code / "smp_bringup")
    assert taken(code, decoy) == decoy / "share" / "smp_bringup" / "config" / "robots" / "aloha.yaml"
