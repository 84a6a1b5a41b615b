"""What the console says in sentences, and what it draws of the nodes' reports."""

import numpy as np
import pytest

from smp_bringup.client.figures import Figures
from smp_bringup.client.words import gate, mode_words, recording, simulated
from smp_bringup.nodes.messages import gate_msg
from smp_bringup.safety.modes import Mode
from smp_bringup.types import GateReport


def report(weights, active):
    weights = np.array(weights)
    kept = float(weights[list(active)].sum())
    told = gate_msg(GateReport(0, weights, weights, active, kept, np.zeros(len(weights)), {}), 1.0)
    return gate(dict(zip(told.name, told.position, strict=True)))


@pytest.mark.parametrize(
    ("weights", "active", "said"),
    [
        ([], (), "This policy has no experts to choose from."),
        ([0.5, 0.5], (), "None of 2 experts runs now"),
        ([0.1, 0.9], (1,), "1 of 2 experts runs: 1 (90%). "),
        ([0.2, 0.7, 0.1], (0, 1), "2 of 3 experts run: 1 (70%), 0 (20%). "),
        ([0.2] * 5, (0, 1, 2, 3, 4), "5 of 5 experts run: 0 (20%), 1 (20%), 2 (20%), 3 (20%) and 1 more. "),
    ],
)
def test_the_gate_is_a_sentence(weights, active, said):
    told = report(weights, active)
    assert told["words"].startswith(said)
    assert told["active"] == list(active)
    assert told["weights"] == weights


def test_every_mode_has_a_sentence():
    assert all(mode_words(mode.value).endswith(".") for mode in Mode)


def test_what_is_recorded_is_said_with_its_warning():
    assert "no recorder runs" in recording(None)["words"]
    waits = recording({"recording": "False", "task": "fold", "said": "kept"})
    assert (waits["on"], waits["words"]) == (False, "The recorder waits; next: fold. Last: kept.")
    assert waits["short"] == "The recorder waits; next: fold."
    values = {"recording": "True", "task": "fold", "seconds": "3.2", "messages": "9", "warning": "1 messages dropped"}
    said = "Records fold: 3.2 s, 9 messages. Warning: 1 messages dropped."
    assert recording(values) == {"on": True, "words": said, "short": said}


def test_of_a_simulated_task_it_is_said_when_nothing_more_will_come():
    told = {"task": "lift_tray", "time_s": "2.5", "success": "0", "operator": "running"}
    assert simulated(told) == "lift_tray, 2.5 s, not done yet"
    assert "the operator has finished" in simulated(told | {"operator": "finished"})
    assert simulated(told | {"operator": "finished", "success": "1"}) == "lift_tray, 2.5 s, done"


def test_the_rate_of_commands_is_of_one_process():
    figures = Figures()
    for cycles, stamp_s in ((100, 1.0), (200, 2.0), (5, 3.0), (105, 4.0)):  # started again at 3 s
        figures.take("command", {"cycles": str(cycles), "late_p99_ms": "0.2"}, stamp_s, stamp_s)
    drawn = {row["name"]: row["values"] for row in figures.drawn()}
    assert drawn == {"rate of commands": [100.0, 100.0], "command cycle late, p99": [0.2] * 4}


def test_a_second_in_which_nothing_came_is_no_latency_of_zero():
    figures = Figures()
    for median in ("0.0", "12.5", "nan"):
        figures.take("policy", {"stamp_to_chunk_ms/p50": median}, 1.0, 1.0)
    assert [row["values"] for row in figures.drawn()] == [[12.5]]
