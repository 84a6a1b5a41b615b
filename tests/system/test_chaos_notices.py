"""`smp chaos` notices: a command node with a planted fault fails the row that is about it, in bounded time."""

import os
import re
import time
from contextlib import closing
from pathlib import Path

import pytest

from smp_bringup.chaos.run import Plan, run_chaos

LONGEST_S = 60.0
"""The wait for a reaction, on a machine that is busy."""


def rows(planted, faults, tmp_path, monkeypatch):
    """Return the rows of faults, injected once each into a command node with a planted fault."""
    monkeypatch.setenv("PLANTED", planted)
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    plan = Plan("aloha", faults, tmp_path, scale=0.001, package="planted")
    begun = time.monotonic()
    with closing(run_chaos(plan)) as running:
        found = [next(running) for _ in faults]
    assert time.monotonic() - begun < LONGEST_S * len(faults)
    return found


@pytest.mark.parametrize(
    ("planted", "fault", "note"),
    [
        ("a release unlatches the stop", "F45", r"expected estop \(estop\) .* it was disarmed: PASS"),
        ("a press is ignored", "F45", "waited 8 s for the stop"),
        ("a reset is done while the stop is pressed", "F45", "reset was done that was to be refused"),
        ("disarming unlatches the stop", "F45", "disarm was done that was to be refused"),
        ("reports are always well", "F45", "/diagnostics says estop at level 0 in estop"),
        ("commands go on after disarming", "F47", "waited 2 s for commands to end"),
    ],
)
def test_a_planted_fault_fails_its_row(planted, fault, note, tmp_path, monkeypatch):
    (row,) = rows(planted, [fault], tmp_path, monkeypatch)
    assert not row.passed
    assert re.search(note, row.note), row.note


def test_a_command_node_that_dies_fails_its_row_and_the_next_fault_gets_another(tmp_path, monkeypatch):
    died, sound = rows("a press ends the process", ["F45", "F47"], tmp_path, monkeypatch)
    assert not died.passed
    assert "node 'command' ended with code 3" in died.note
    assert not sound.note
