"""What the recorder rejected is not trained on, unless it is asked for."""

import numpy as np
import pytest

from smp_bringup.bag.messages import JOINT_STATE, joint_state_cdr
from smp_bringup.bag.writer import BagWriter
from smp_bringup.errors import BagError
from smp_bringup.training.job import TrainingJob, _selected, demonstrations


def bag(folder, robot, quality):
    writer = BagWriter(folder, robot, "lift_tray")
    writer.write("/x", JOINT_STATE, 1, joint_state_cdr(1, ("a",), np.zeros(1)))
    return writer.close(True, {"quality": quality, "reasons": "reject gap: silent"} if quality else {})


def test_a_rejected_bag_is_left_out_and_named_unless_it_is_asked_for(robot, tmp_path):
    bags = {name: bag(tmp_path / "task" / name, robot, name) for name in ("keep", "reject", "warn")}
    lockstep = bag(tmp_path / "task" / "unjudged", robot, "")
    taken, left_out = _selected(TrainingJob(tmp_path, "smp"))
    assert taken == [bags["keep"], lockstep, bags["warn"]]
    (reason,) = left_out
    assert str(bags["reject"]) in reason
    assert "reject gap: silent" in reason
    assert "--rejected" in reason
    everything = TrainingJob(tmp_path, "smp", rejected=True)
    assert bags["reject"] in demonstrations(everything)
    assert everything.command().endswith("--rejected")


def test_the_limit_counts_what_is_taken(robot, tmp_path):
    for name, quality in (("a", "reject"), ("b", "keep"), ("c", "keep")):
        bag(tmp_path / "task" / name, robot, quality)
    assert [f.name for f in demonstrations(TrainingJob(tmp_path, "smp", limit=1))] == ["b"]


def test_only_rejected_bags_are_an_error(robot, tmp_path):
    bag(tmp_path / "task" / "a", robot, "reject")
    with pytest.raises(BagError, match=r"none of 1 bags may be trained on; the first: .* --rejected takes it"):
        demonstrations(TrainingJob(tmp_path, "smp"))
