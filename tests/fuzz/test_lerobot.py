"""Datasets broken in every way: imported, or refused in one line; never a traceback, never slow, never much memory.

60 datasets in the tests; `SMP_FUZZ_DATASETS=10000 pytest tests/fuzz/test_lerobot.py` tries more.
"""

import copy
import json
import os
import random
import resource
import shutil
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import process_time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smp_bringup.errors import SmpError
from smp_bringup.exchange.from_lerobot import import_dataset
from smp_bringup.exchange.to_lerobot import export

sys.path.insert(0, str(Path(__file__).parents[1]))
from lerobot_sets import EPISODES, Foreign

COUNT = int(os.environ.get("SMP_FUZZ_DATASETS", "60"))
LONGEST_S, LONGEST_LINE, MEMORY = 5.0, 2000, 3 << 30
ODD = (
    [
        None,
        True,
        0,
        -1,
        1,
        3,
        7,
        2**31,
        2**63,
        10**30,
        0.5,
        -0.5,
        1e300,
        float("nan"),
        float("inf"),
        "",
        " ",
        "x" * 9999,
    ]
    + ["../../etc/passwd", "/dev/zero", "\x00", "a\nb", "{0}", "{chunk_index:>999999999}", "{video_key.__class__}"]
    + ["v3.0", "v2.1", "video", "image", "observation.state", "left_waist", "lift_tray", "x.yaml"]
    + [[], {}, [[]], [None], [3, 3, 3], [10**9, 10**9, 3], ["a"] * 50, {"a": {"b": ["c"]}}, {"left_waist": 1}]
)


@pytest.fixture(scope="module")
def sound(robot, tmp_path_factory):
    """Return folders of sound datasets: with videos, with images, and of our own making."""
    root = tmp_path_factory.mktemp("sound")
    cameras = [replace(c, width=32, height=24, observation_width=32, observation_height=24) for c in robot.cameras[:1]]
    small, names = replace(robot, cameras=tuple(cameras)), list(robot.joint_names)
    kinds = {"video": False, "image": True}
    sets = [
        Foreign(small, frames=4, images=images, state_names=names, action_names=names).write(root / kind)
        for kind, images in kinds.items()
    ]
    export(import_dataset(sets[0], root / "bags", small).folders, root / "ours")
    return small, [*sets, root / "ours"]


def spots(data):
    """Return every (container, key) of nested JSON."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [spot for key, value in inner for spot in ((data, key), *spots(value))]


def spoil_json(rng, root):
    path = rng.choice(sorted(root.glob("meta/*.json")))
    data = json.loads(path.read_text())
    for _ in range(rng.choice((1, 1, 2, 5))):
        if found := spots(data):
            inner, key = rng.choice(found)
            if rng.random() < 0.2:
                del inner[key]
            else:
                inner[key] = copy.deepcopy(rng.choice(ODD))
    path.write_text(json.dumps(data))


def spoil_bytes(rng, root):
    files = sorted(p for p in root.rglob("*") if p.is_file())
    path = rng.choice(files)
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data))
    match rng.choice(("flip", "flip", "cut", "splice", "zero", "swap", "grow", "gone")):
        case "flip":
            for _ in range(rng.choice((1, 1, 8, 64))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case "cut":
            data = data[:at]
        case "splice":
            data[at : at + 64] = rng.choice(files).read_bytes()[:64]
        case "zero":
            data[at : at + 256] = bytes(len(data[at : at + 256]))
        case "swap":
            data = bytearray(rng.choice(files).read_bytes())
        case "grow":
            data[at:at] = rng.randbytes(512)
        case "gone":
            path.unlink()
            return
    path.write_bytes(data)


def spoil_rows(rng, root):
    """Change the cells of a table, of one row or of a whole column."""
    path = rng.choice([root / EPISODES, *sorted(root.rglob("data/**/*.parquet")), root / "meta/tasks.parquet"])
    table = pq.read_table(path)
    name = rng.choice(table.column_names)
    rows = table[name].to_pylist()
    value = rng.choice(ODD)
    match rng.choice(("cell", "cell", "column", "gone", "rows", "twice")):
        case "cell":
            rows[rng.randrange(len(rows))] = value
        case "column":
            rows = [value] * len(rows)
        case "gone":
            pq.write_table(table.drop_columns([name]), path)
            return
        case "rows":
            keep = sorted(rng.sample(range(len(rows)), rng.randrange(len(rows))))
            pq.write_table(table.take(pa.array(keep, pa.int64())), path)
            return
        case "twice":
            pq.write_table(pa.concat_tables([table, table]), path)
            return
    at = table.column_names.index(name)
    try:
        pq.write_table(table.set_column(at, name, pa.array(rows)), path)
    except (pa.ArrowException, OverflowError):  # no column can hold these
        pq.write_table(table.set_column(at, name, pa.array([str(row)[:200] for row in rows])), path)


@contextmanager
def bounded_memory():
    """Let this process have no more than it has, and a little."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def tried(root, out, robot, number):
    """Return why a dataset is refused; nothing where it is imported."""
    try:
        with bounded_memory():
            import_dataset(root, out, robot)
    except SmpError as error:
        return str(error)
    except Exception as error:
        raise AssertionError(f"dataset {number} ends in a traceback") from error
    return ""


def test_no_dataset_breaks_the_import(sound, tmp_path):
    robot, sets = sound
    refused, slowest = 0, 0.0
    for number in range(COUNT):
        rng = random.Random(number)
        root, out = tmp_path / "set", tmp_path / "bags"
        shutil.copytree(rng.choice(sets), root)
        rng.choice((spoil_json, spoil_bytes, spoil_rows))(rng, root)
        began = process_time()
        refusal = tried(root, out, rng.choice((robot, None)), number)
        slowest = max(slowest, process_time() - began)
        assert slowest < LONGEST_S, number
        if refusal:
            refused += 1
            assert refusal.isprintable(), number
            assert len(refusal) < LONGEST_LINE, number
            assert not [p for p in out.rglob("*") if p.is_file()], number
        for folder in (root, out):
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{COUNT} datasets: {COUNT - refused} imported, {refused} refused; slowest {slowest:.2f} s of CPU")
    assert COUNT / 4 < refused < COUNT
