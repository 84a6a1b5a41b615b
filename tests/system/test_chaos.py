"""`smp chaos` of a robot that is not ALOHA, and of nothing: what heard nothing has not passed."""

import gc
import json
import subprocess
import sys

import numpy as np
import pytest
import yaml
from sensor_msgs.msg import JointState

from smp_bringup.chaos.ear import Ear, judged
from smp_bringup.chaos.kills import require_simulated
from smp_bringup.chaos.rig import chaos_rig, swings
from smp_bringup.chaos.row import counted, timed
from smp_bringup.chaos.run import NORMAL, Plan, kills_row, laws, normal_rows, run_chaos
from smp_bringup.client.graph_client import graph_client
from smp_bringup.config import read_yaml
from smp_bringup.errors import ConfigError
from smp_bringup.nodes import qos
from smp_bringup.paths import named_config
from smp_bringup.robot import load_robot

pytestmark = pytest.mark.alone

QUICK = ["F14", "F15", "F16", "F17", "F21", "F43", "F44", "F54", "F74"]
"""Those that name arms, joints or topics, or start another command node."""
GENEROUS_MS = 1000.0


def other_robot():
    """Return the data of a robot of one arm with five joints and one with three, of other names and topics."""
    data = read_yaml(named_config("robots", "aloha"))
    arms = []
    for name, keep, arm in zip(("upper", "lower"), ((0, 1, 3, 4, 6), (1, 2, 6)), data["arms"], strict=True):
        joints = [{**arm["joints"][k], "name": f"{name}_{number}"} for number, k in enumerate(keep)]
        topics = {f"{what}_topic": f"/{name}/{what}" for what in ("state", "command", "leader")}
        arms.append({"name": name, "joints": joints, **topics})
    rates = {key: data[key] for key in ("control_period_s", "action_period_s", "state_rate_hz")}
    return {"name": "crane", **rates, "arms": arms, "cameras": data["cameras"][:1]}


def write(folder, data):
    """Write a robot and safety settings without what needs its geometry; return both paths."""
    robot, safety = folder / "crane.yaml", folder / "safety_of_crane.yaml"
    robot.write_text(yaml.safe_dump(data))
    settings = read_yaml(named_config("safety", "default"))
    settings["checks"] = [name for name in settings["checks"] if name not in ("workspace", "arm_distance")]
    safety.write_text(yaml.safe_dump(settings | {"estop_heartbeat_s": 0.05}))
    return str(robot), safety


@pytest.fixture
def crane(tmp_path):
    return write(tmp_path, other_robot())


def test_the_command_node_is_of_the_robot_that_is_played(crane, tmp_path):
    path, safety = crane
    robot = load_robot(path)
    with chaos_rig(path, safety, tmp_path / "log") as rig:
        told = {}
        for arm in robot.arms:
            rig.client.create_subscription(
                JointState, arm.command_topic, lambda m, name=arm.name: told.update({name: list(m.name)}), qos.LATEST
            )
        rig.follow("policy")
        rig.until(lambda: len(told) == 2, 60, "commands of both arms")
        assert told == {arm.name: [joint.name for joint in arm.joints] for arm in robot.arms}
        assert rig.ear.newest().shape == (robot.dof,)
        assert rig.client.count_publishers("/follower_left/joint_commands") == 0


def test_another_robot_is_broken_and_judged_like_the_shipped_one(crane, tmp_path):
    path, safety = crane
    rows, missing = {}, QUICK
    for attempt in range(6):  # what a loaded machine disturbed is tried again
        plan = Plan(path, missing, tmp_path, str(safety), seed=attempt, scale=0.01)
        found = {row.id: row for row in run_chaos(plan)}
        rows = found | {name: row for name, row in rows.items() if name not in missing}
        assert "Traceback" not in "".join(log.read_text() for log in tmp_path.glob("command*.log"))
        laws = [found[law] for law in ("law", "still", "stamp")]
        assert all(row.passed or (attempt and not row.n) for row in laws), laws
        missing = [name for name in missing if rows[name].note or rows[name].max_ms > GENEROUS_MS + rows[name].bound_ms]
        if not missing:
            break
    assert not missing, [rows[name] for name in missing]
    assert rows["skew"].n > 0


def test_the_rows_of_a_run_can_be_written(crane, tmp_path):
    path, safety = crane
    rows = list(run_chaos(Plan(path, [NORMAL, "F77"], tmp_path, str(safety), scale=0.01)))
    assert {"late", "rate", "F77", "law"} <= {row["id"] for row in json.loads(json.dumps([r.as_json() for r in rows]))}


def test_the_judge_is_not_stopped_by_a_collection_of_all_that_was_imported(crane, tmp_path):
    path, safety = crane
    gc.unfreeze()
    frozen = []
    plan = Plan(path, ["F14"], tmp_path, str(safety), scale=0.1)
    list(run_chaos(plan, lambda *_: frozen.append(gc.get_freeze_count() / len(gc.get_objects()))))
    assert frozen[0] > 10  # and what came since is little


def test_who_heard_nothing_has_not_passed(robot):
    with graph_client() as client:
        ear = Ear(client, robot)
        client.spin_for(0.05)
        rows = [*laws(ear), *normal_rows([], robot.control_period_s, []), kills_row([], ear)]
    assert [row.id for row in rows] == ["law", "still", "stamp", "skew", "late", "gap", "rate", "trips", "F29"]
    for row in rows:
        assert (row.n, row.passed, row.note) == (0, False, "heard nothing"), row


def test_a_row_passes_by_all_of_its_times_and_by_no_count_at_all():
    assert timed("F1", "", 10, [1.0, 9.0]).passed
    assert not timed("F1", "", 10, [1.0, 11.0]).passed
    assert not timed("F1", "", 10, [1.0], "why").passed
    failed = timed("F1", "", 10, [1.0, float("inf")])
    assert (failed.passed, failed.note, failed.max_ms) == (False, "1 of 2 failed", 1.0)
    assert counted("law", "", 0, 5).passed
    assert not counted("law", "", 1, 5).passed
    assert counted("law", "", 1, 5).as_json()["pass"] is False


def test_every_arm_swings_by_one_joint_inside_its_limits(robot, tmp_path):
    for body in (robot, load_robot(write(tmp_path, other_robot())[0])):
        swing, home = swings(body), body.joint_array("home")
        assert all((swing[part] > 0).sum() == 1 for part in body.arm_slices.values())
        assert not swing[~body.turning].any()
        assert np.all(home + swing < body.joint_array("max"))
        assert np.all(home - swing > body.joint_array("min"))
    assert swings(robot).max() == 0.25


def test_a_robot_is_judged_by_the_commands_of_each_arm_however_it_is_commanded(robot):
    assert judged(robot) == robot
    body = judged(load_robot("dual_ur5e"))
    assert len(body.command_topics) == len(body.state_topics[0].arms) == 4
    assert all(joints.names == tuple(j.name for j in joints.arms[0].joints) for joints in body.command_topics)
    assert {arm.command_interface for arm in body.arms} == {"joint_state"}
    assert (swings(body) > 0).sum() == 2, "hands stay as they are"


def test_what_cannot_be_moved_is_refused_in_one_line(tmp_path):
    data = other_robot()
    for arm in data["arms"]:
        for joint in arm["joints"]:
            joint["home"] = joint["min"]
    with pytest.raises(ConfigError, match="no joint of it turns and has room around home"):
        next(run_chaos(Plan(write(tmp_path, data)[0], ["F45"], tmp_path)))


def test_kills_are_of_the_simulated_robot_only(crane, robot, tmp_path):
    require_simulated(robot)
    words = ["chaos", "--robot", crane[0], "--faults", "F45,F29", "--out", tmp_path]
    command = [sys.executable, "-m", "smp_bringup.cli.main", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1
    assert "robot 'crane' has no simulation; leave F29 out of --faults" in done.stderr
    data = read_yaml(named_config("robots", "aloha")) | {"name": "aloha_of_another_make"}
    with pytest.raises(ConfigError, match="model expects aloha; leave F29 out"):
        require_simulated(load_robot(write(tmp_path, data)[0]))
