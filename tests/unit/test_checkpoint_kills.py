"""A checkpoint that is written over is the whole old one or the whole new one, wherever the writer is killed."""

import json
import os
import re
import shutil
import signal
import sys
from hashlib import sha256
from multiprocessing import get_context

import numpy as np
import pytest

from smp_bringup.errors import ModelError
from smp_bringup.manifest import NEW, read_checked, write_checked
from smp_bringup.policy.checkpoint import CARD, METRICS, load_policy
from smp_bringup.training.save import add_evaluation

FORK = get_context("fork")
FILE_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
MOST_EVENTS = 500
"""No overwriting has more events; a test that comes so far is wrong."""
ROUNDS, READS = 12, 20
DEADLINE_S = 60


def run_and_die(function, arguments, after):
    """Do something, and be killed at one of the events in which files are opened, moved or removed."""
    left = after

    def count(event, _):
        nonlocal left
        if event in FILE_EVENTS:
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    sys.addaudithook(count)
    function(*arguments)


def killed(function, arguments, after):
    """Return whether a process that did something was killed before its end."""
    process = FORK.Process(target=run_and_die, args=(function, arguments, after))
    process.start()
    process.join(DEADLINE_S)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def kinds(checkpoints):
    """Return two checkpoints of other files: only the second has some, both have some of other contents."""
    return read_checked(checkpoints["diffusion"][0]), read_checked(checkpoints["smp"][0])


def test_a_kill_at_any_instant_of_overwriting_leaves_one_whole_checkpoint(checkpoints, tmp_path):
    """Each writer takes over what the killed one before it left."""
    both, folder = kinds(checkpoints), tmp_path / "model"
    write_checked(folder, both[0])
    seen = set()
    for after in range(MOST_EVENTS):
        for wanted in both:
            dead = killed(write_checked, (folder, wanted), after)
            found = read_checked(folder)
            assert found in both
            assert dead or found == wanted
            seen.add((dead, found == wanted))
        if not dead:
            break
    assert after > len(both[1])
    assert seen == {(True, False), (True, True), (False, True)}
    assert {path.name for path in folder.iterdir()} == {*both[1], "manifest.json"}


def test_a_kill_at_any_instant_of_the_first_writing_leaves_nothing_or_a_whole_checkpoint(checkpoints, tmp_path):
    wanted, folder = read_checked(checkpoints["smp"][0]), tmp_path / "model"
    for after in range(MOST_EVENTS):
        dead = killed(write_checked, (folder, wanted), after)
        if folder.exists():
            assert read_checked(folder) == wanted
            shutil.rmtree(folder)
        if not dead:
            break
    assert after > len(wanted)
    assert not list(tmp_path.iterdir())


ROW = {"successes": 3, "episodes": 4, "interval": [0.3, 0.9]}
REPORT = {"seed": 5, "variation": "wide", "tasks": {"lift_tray": ROW}, "all": ROW, "active_experts": {"mean": 2.0}}


def test_a_kill_at_any_instant_of_adding_an_evaluation_leaves_card_and_metrics_alike(checkpoints, robot, tmp_path):
    folder = shutil.copytree(checkpoints["smp"][0], tmp_path / "model")
    for after in range(MOST_EVENTS):
        dead = killed(add_evaluation, (folder, {**REPORT, "seed": after}), after)
        files = read_checked(folder)
        told = json.loads(files[METRICS]).get("evaluation", {})
        assert re.findall(r"--seed (\d+)", files[CARD].decode()) == [str(seed) for seed in [told.get("seed")] if told]
        if not dead:
            break
    assert told["seed"] == after
    load_policy(folder, robot)


def overwrite(folder, both, ready):
    while True:
        for files in both:
            write_checked(folder, files)
            ready.set()


def test_whoever_reads_meanwhile_and_after_a_kill_sees_one_whole_checkpoint(checkpoints, tmp_path):
    both, folder, rng = kinds(checkpoints), tmp_path / "model", np.random.default_rng(0)
    write_checked(folder, both[0])
    for _ in range(ROUNDS):
        ready = FORK.Event()
        writer = FORK.Process(target=overwrite, args=(folder, both, ready))
        writer.start()
        assert ready.wait(DEADLINE_S)
        for _ in range(rng.integers(1, READS)):
            assert read_checked(folder) in both
        writer.join(rng.uniform(0, 0.02))
        writer.kill()
        writer.join()
        assert read_checked(folder) in both


@pytest.mark.parametrize("name", ["../mine", "..", "MINE"])
def test_writing_over_a_forged_checkpoint_touches_nothing_outside_its_folder(name, checkpoints, tmp_path):
    wanted, folder = read_checked(checkpoints["smp"][0]), tmp_path / "model"
    (folder / NEW).mkdir(parents=True)
    (tmp_path / "mine").write_text("mine")
    (folder / NEW / "mine").write_text("theirs")
    forged = name.replace("MINE", str(tmp_path / "mine"))
    (folder / "manifest.json").write_text(json.dumps({"files": {forged: sha256(b"theirs").hexdigest()}}))
    with pytest.raises(ModelError, match="leaves the model folder"):
        read_checked(folder)
    write_checked(folder, wanted)
    assert read_checked(folder) == wanted
    assert (tmp_path / "mine").read_text() == "mine"


def test_what_is_no_checkpoint_is_written_over_and_what_is_damaged_still_refused(checkpoints, tmp_path):
    wanted, folder = read_checked(checkpoints["smp"][0]), tmp_path / "model"
    folder.mkdir()
    (folder / "manifest.json").write_text("{")
    (folder / "notes.txt").write_text("mine")
    write_checked(folder, wanted)
    assert read_checked(folder) == wanted
    assert (folder / "notes.txt").read_text() == "mine"
    (folder / NEW).mkdir()
    (folder / NEW / METRICS).write_bytes(wanted[METRICS] + b" ")
    (folder / METRICS).write_bytes(b"{}")
    with pytest.raises(ModelError, match=r"metrics\.json sha256 is"):
        read_checked(folder)


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300, "a\nb"])
def test_a_manifest_that_names_what_no_file_is_called_is_one_line(name, tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 2, "files": {name: "0"}}))
    with pytest.raises(ModelError) as caught:
        read_checked(tmp_path)
    assert str(caught.value).isprintable()


def test_a_pipe_in_a_checkpoint_is_refused_not_waited_for(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 2, "files": {"a.onnx": "0"}}))
    os.mkfifo(tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="a pipe, not a file"):
        read_checked(tmp_path)
