"""Robot and policy as two machines, the cable between them cut for a while; `tools/two_machines.py` sets it up."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.alone

TOOL = Path(__file__).parents[2] / "tools/two_machines.py"
CUT_S = 2.0


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """What the tool found, with static peers alone and a grace in which the arms go on by themselves."""
    out = tmp_path_factory.mktemp("two") / "figures.json"
    words = ["--cut", str(CUT_S), "--seconds", "3", "--grace", "8", "--json", str(out)]
    done = subprocess.run([sys.executable, str(TOOL), *words], capture_output=True, text=True, timeout=200, check=False)
    if done.stderr.startswith("error: no "):
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


def test_a_policy_on_another_machine_drives_the_arms_and_a_cut_cable_holds_them(figures):
    cut = figures["cut"]
    assert cut["held_s"] < CUT_S
    assert cut["reason"] == "the selected source gives no setpoint for now"
    assert sorted(cut["last_motion_s"]) == ["left", "right"]
    assert max(cut["last_motion_s"].values()) < CUT_S  # both stood before the cable was back
    assert not cut["latched"]
    assert cut["after"][-1][1:] == ["policy", "PASS : "]


def test_observations_cross_the_cable_and_camera_frames_do_not(figures):
    before = figures["before"]
    assert 100_000 < before["robot_to_gpu_bytes_s"] < 2_500_000  # three frames of 128x128 at 25 Hz would be 3.7 MB/s
    assert before["gpu_to_robot_bytes_s"] < before["robot_to_gpu_bytes_s"] / 4
    assert before["round_trip_ms"], "smp top would not show the way to the policy and back"
