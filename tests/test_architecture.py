"""The rules of the house, checked on every import and every file; each rule is shown to bite on a planted breach."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "smp_bringup"

LAYERS = (
    {"types", "errors", "config", "registry", "paths", "environment", "page", "processes", "__init__"},
    {"robot"},
    {"kinematics", "geometry"},
    {"sync"},
    {"wire"},
    {"observation"},
    {"policy"},
    {"action"},
    {"safety"},
    {"pipeline"},
    {"graph", "launcher"},
    {"tasks"},
    {"record"},
    {"sim", "replay"},
    {"training", "bench", "exchange"},
    {"nodes", "launch_actions"},
    {"cli"},
)
"""Rooms from the ground up: a room imports from its own floor and those below, never from above."""

FENCES = {
    "rclpy": {"nodes"},
    "sensor_msgs": {"nodes"},
    "launch_ros": {"launch_actions"},
    "torch": {"policy", "training", "bench"},
    "mujoco": {"sim", "tasks", "kinematics"},
    "onnxruntime": {"policy/engine_onnx.py"},
    "cv2": set(),
}
"""Who may import what."""


def room(path):
    """Return the room of a file given relative to the package."""
    return Path(path).parts[0].removesuffix(".py")


def floor(name):
    return next(i for i, rooms in enumerate(LAYERS) if name in rooms)


def imports(source):
    """Yield the modules that a source imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "smp_bringup")


def breaches(path, source):
    """Return what a file does against the rules."""
    found = []
    for module in imports(source):
        parts = module.split(".")
        ours = parts[0] == "smp_bringup" and len(parts) > 1 and any(parts[1] in rooms for rooms in LAYERS)
        if ours and floor(parts[1]) > floor(room(path)):
            found.append(f"{path}: imports {module}, which stands above it")
        allowed = FENCES.get(parts[0])
        inside = allowed is None or room(path) in allowed or str(path) in allowed
        if not inside:
            found.append(f"{path}: imports {module}, allowed in {sorted(allowed)}")
    lines = source.count("\n")
    if lines > 300:
        found.append(f"{path}: {lines} lines")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno > 50:
            found.append(f"{path}: {node.name} is {node.end_lineno - node.lineno} lines long")
    if re.search(r"import pickle|torch\.load\(|yaml\.load\(|allow_pickle=True|\beval\(|\bexec\(", source):
        found.append(f"{path}: runs or may run foreign code")
    if room(path) not in {"nodes", "launcher", "training", "policy", "cli"} and re.search(
        r"\btime\.(time|monotonic|perf_counter)(_ns)?\(|datetime\.now\(", source
    ):
        found.append(f"{path}: reads a clock")
    return found


def files():
    return sorted(PACKAGE.rglob("*.py"))


def test_every_file_keeps_the_rules():
    found = [b for file in files() for b in breaches(file.relative_to(PACKAGE), file.read_text())]
    assert not found, "\n".join(found)


def test_every_room_has_a_floor():
    rooms = {room(file.relative_to(PACKAGE)) for file in files()}
    assert rooms == set().union(*LAYERS) & rooms
    assert rooms - set().union(*LAYERS) == set()


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("sync/aligner.py", "from smp_bringup.policy.base import AbstractPolicy\n", "stands above it"),
        ("safety/limits.py", "from smp_bringup import pipeline\n", "stands above it"),
        ("safety/limits.py", "import rclpy\n", "imports rclpy"),
        ("observation/images.py", "def f():\n    import torch\n", "imports torch"),
        ("action/chunk_buffer.py", "import time\nx = time.monotonic_ns()\n", "reads a clock"),
        ("policy/checkpoint.py", "import pickle\n", "foreign code"),
        ("robot.py", "def f():\n" + "    x = 1\n" * 52, "lines long"),
        ("robot.py", "x = 1\n" * 301, "301 lines"),
    ],
)
def test_a_breach_is_found(path, source, expected):
    assert any(expected in b for b in breaches(Path(path), source))


def test_nothing_tracked_names_a_machine():
    """No absolute path of somebody's machine, no registry's host."""
    pattern = r"(^|[^\w.])/(home/[a-z]|root/|work/)|--(extra-)?index-url"
    done = subprocess.run(
        ["git", "grep", "-nIE", pattern, "--", ".", ":!tests/test_architecture.py"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == ""


def test_no_test_sleeps():
    guilty = [p.name for p in (ROOT / "tests").rglob("test_*.py") if re.search(r"time\.sleep\(\d", p.read_text())]
    assert guilty == []
