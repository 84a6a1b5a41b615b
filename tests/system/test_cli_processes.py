"""The command line as a parent of processes: told to end, it takes them along."""

import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest


def children(pid):
    """Return the children of a process."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def lives(pid):
    """Return whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it may end while its file is read
        return False


def test_a_recording_that_is_terminated_leaves_no_process_behind(tmp_path):
    words = ["record", "--lockstep", "--track", "state", "--task", "lift_tray", "--episodes", "200", "--out", tmp_path]
    process = subprocess.Popen([sys.executable, "-m", "smp_bringup.cli.main", *words], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "lift_tray" / "episode_0_00000").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
    workers = children(process.pid)
    assert len(workers) >= 2
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    while any(lives(pid) for pid in workers):
        assert time.monotonic() < deadline


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL], ids=lambda n: n.name)
def test_a_launcher_that_hangs_up_or_is_killed_leaves_no_node_behind(number, tmp_path):
    words = ["record", "--task", "lift_tray", "--episodes", "50", "--out", tmp_path]
    process = subprocess.Popen([sys.executable, "-m", "smp_bringup.cli.main", *words], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("lift_tray/.*")) and not list(tmp_path.glob("lift_tray/*")):  # an episode is open
        assert process.poll() is None, (tmp_path / "graph.log").read_text()
        assert time.monotonic() < deadline
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
    nodes = children(process.pid)
    assert len(nodes) == 5
    process.send_signal(number)
    assert process.wait(60) == (128 + number if number == signal.SIGHUP else -number)
    while any(lives(pid) for pid in nodes):
        assert time.monotonic() < deadline
