"""The locks: what is installed is what is locked, with hashes, and what is locked is what the package asks for."""

import importlib.util
import sysconfig
from importlib.metadata import PathDistribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements/lock"


def tool():
    spec = importlib.util.spec_from_file_location("lock", ROOT / "tools/lock.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = tool()
EVERYWHERE = ("build", "runtime", "cuda", *TOOL.EXTRAS, "dev", *TOOL.BESIDE)
FILES = sorted(path.stem for path in LOCK.glob("*.txt"))


def pins(file):
    """Return the pins of a lock as requirements, with their hashes."""
    return {Requirement(pin): hashes for pin, hashes in TOOL.read((LOCK / f"{file}.txt").read_text()).items()}


def asked(file):
    """Return the ranges in a file that people edit."""
    lines = (line.split("#")[0].strip() for line in (ROOT / f"requirements/{file}.in").read_text().splitlines())
    return [Requirement(line) for line in lines if line]


def installed():
    """Return name and version of what pip installed here; not what a package carries inside itself, nor ours."""
    path = [*{sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}]
    found = [d for d in distributions(path=path) if isinstance(d, PathDistribution)]
    carried = {
        str(d.locate_file(file.parent))
        for d in found
        for file in d.files or ()
        if file.parent.name.endswith((".dist-info", ".egg-info")) and file.name == "PKG-INFO"
    }
    return {
        canonicalize_name(d.name): Version(d.version).public
        for d in found
        if str(d._path) not in carried and d.name != "smp_bringup"
    }


def missing(found, kind):
    """Return what is installed but not locked for this kind of environment."""
    locked = {(canonicalize_name(r.name), str(r.specifier)) for file in (*EVERYWHERE, kind) for r in pins(file)}
    return sorted(f"{name}=={version}" for name, version in found.items() if (name, f"=={version}") not in locked)


def test_every_installed_package_is_locked():
    found = installed()
    assert {"numpy", "torch", "pip", "setuptools", "gym-aloha"} <= found.keys()
    assert min((missing(found, kind) for kind in TOOL.KINDS), key=len) == []


def test_a_package_that_is_not_locked_is_noticed():
    assert "numpy==1.0" in missing(installed() | {"numpy": "1.0"}, "ros-kilted")


@pytest.mark.parametrize("file", FILES)
def test_every_pin_has_a_hash_and_one_version(file):
    entries = (LOCK / f"{file}.txt").read_text().replace("\\\n", "").splitlines()
    packages = [entry for entry in entries if not entry.startswith(("#", "-"))]
    assert len(packages) == len(pins(file)) > 0
    for requirement, hashes in pins(file).items():
        assert hashes, requirement
        assert [s.operator for s in requirement.specifier] == ["=="]


def on(python, requirements):
    """Return the requirements that count on a Python."""
    here = {"python_version": python, "python_full_version": f"{python}.0"}
    return [r for r in requirements if r.marker is None or r.marker.evaluate(here)]


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize("kind", TOOL.KINDS)
def test_the_lock_keeps_every_range(kind, python):
    locked = {canonicalize_name(r.name): r for file in (*EVERYWHERE, kind) for r in on(python, pins(file))}
    for wanted in on(
        python, [r for file in ("build", "runtime", *TOOL.EXTRAS, "dev", "assets", kind) for r in asked(file)]
    ):
        (version,) = (s.version for s in locked[canonicalize_name(wanted.name)].specifier)
        assert version in wanted.specifier, f"{wanted}: {version} is locked; run make lock"


def test_the_package_asks_for_ranges():
    """A lowest version, and an end before the next that may break: it shall live beside packages that want others."""
    for requirement in asked("runtime"):
        assert {s.operator for s in requirement.specifier} == {">=", "<"}, requirement
