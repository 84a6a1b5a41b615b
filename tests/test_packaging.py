"""What `pip install .` installs: every launch, configuration and model file, and every executable."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NODES = ("sync", "policy", "command", "teleop", "recorder", "sim", "replay")


def build(source, out):
    """Return the names in the wheel built from a copy of the project."""
    out.mkdir()
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", out, source],
        check=True,
        capture_output=True,
    )
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist()), archive.read(next(n for n in archive.namelist() if n.endswith("points.txt")))


@pytest.fixture
def copy(tmp_path):
    """Return a copy of what is tracked, as a clean clone would have it."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        if not name.startswith(("tests/", "docs/")) and (ROOT / name).is_file():
            (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / "src" / name)
    return tmp_path / "src"


def shared(root):
    """Return the files that must be installed under share/smp_bringup."""
    found = [p for top in ("launch", "config", "models") for p in (root / top).rglob("*") if p.is_file()]
    return {p.relative_to(root).as_posix() for p in found if "__pycache__" not in p.parts}


def missing(names, root):
    """Return the shared files that a wheel lacks."""
    installed = {n.split("data/share/smp_bringup/", 1)[1] for n in names if "data/share/smp_bringup/" in n}
    return sorted((shared(root) | {"package.xml"}) - installed)


def test_every_file_and_executable_is_in_the_wheel(copy, tmp_path):
    names, points = build(copy, tmp_path / "dist")
    assert missing(names, copy) == []
    assert len(shared(copy)) > 12
    assert any(n.endswith("data/share/ament_index/resource_index/packages/smp_bringup") for n in names)
    for node in NODES:
        assert f"{node}_node = smp_bringup.nodes.{node}_node:main".encode() in points
        assert any(n.endswith(f"data/lib/smp_bringup/{node}_node") for n in names)
        assert (copy / "resource" / "bin" / f"{node}_node").stat().st_mode & 0o111  # else `ros2 launch` finds none
    for file in ("index.html", "console.css", "console.js", "draw.js", "icon.svg"):
        assert f"smp_bringup/console/page/{file}" in names
    for file in ("report.html.jinja", "report.css", "report.js"):
        assert f"smp_bringup/page/{file}" in names
    assert b"smp = smp_bringup.cli.main:main" in points
    modules = {p.relative_to(copy / "src").as_posix() for p in (copy / "src").rglob("*.py")}
    assert modules <= names
    assert "smp_bringup/py.typed" in names


def test_a_folder_that_is_forgotten_is_noticed(copy, tmp_path):
    setup = copy / "setup.py"
    setup.write_text(setup.read_text().replace('SHARED = ("launch", "config", "models")', 'SHARED = ("launch",)'))
    names, _ = build(copy, tmp_path / "dist")
    assert "config/fastdds.xml" in missing(names, copy)


def test_package_xml_names_every_ros_package_that_is_imported():
    import ast
    import xml.etree.ElementTree as ElementTree

    declared = {e.text for e in ElementTree.parse(ROOT / "package.xml").getroot() if e.tag.endswith("depend")}
    ros = {"rclpy", "launch", "launch_ros"}
    used = set()
    for file in [*(ROOT / "src").rglob("*.py"), *(ROOT / "launch").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            used |= {m.split(".")[0] for m in modules if m.split(".")[0] in ros or m.split(".")[0].endswith("_msgs")}
    assert {"rclpy", "sensor_msgs", "launch_ros"} <= used
    assert used <= declared
