"""The command line as a parent of processes: told to end, it takes them along."""

import signal
import subprocess
import sys
import time
from pathlib import Path


def children(pid):
    """Return the children of a process."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def lives(pid):
    """Return whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
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
