"""`smp robot` beside running drivers that are not ours: what is wrong is named, what is right gives files that fit."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import yaml

from smp_bringup.client.graph_client import START_S, graph_client
from smp_bringup.graph import NodeSpec
from smp_bringup.launcher import Graph

HERE = Path(__file__).parent
URDF = HERE.parent / "unit/two_arms.urdf"


@contextmanager
def driver(*words):
    """Run the fake robot, with Fast DDS as it is by default."""
    env = {key: value for key, value in os.environ.items() if "DEFAULT_PROFILES" not in key}
    process = subprocess.Popen([sys.executable, HERE / "robot_driver.py", *words], env=env)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def smp(*words):
    command = [sys.executable, "-m", "smp_bringup.cli.main", "robot", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)


def spoiled_file(folder):
    """Return a robot file with a camera for every fault of the driver, and one that is called otherwise there."""
    limits = {"velocity": 1.0, "acceleration": 5.0, "jerk": 100.0}
    arms = [
        {
            "name": side,
            "state_topic": f"{side}/joint_states",
            "command_topic": f"{side}_controller/joint_trajectory",
            "command_interface": "joint_trajectory",
            "joints": [
                {"name": f"{side}_{name}", "min": -1.4, "max": 1.4, "home": -1.0, **limits}
                for name in ("shoulder", "elbow", "forearm", "wrist")
            ],
        }
        for side in ("left", "right")
    ]
    shape = {"width": 64, "height": 48, "rate_hz": 20, "observation_width": 32, "observation_height": 32}
    cameras = [{"name": name, "topic": f"{name}/image_raw", **shape} for name in ("small", "deep", "still")]
    cameras.append({"name": "over", "topic": "over/color/image_raw", **shape})
    about = {"name": "spoiled", "safety": str(folder / "safety.yaml"), "arms": arms, "cameras": cameras}
    about |= {"control_period_s": 0.01, "action_period_s": 0.04, "state_rate_hz": 100}
    safety = {"checks": ["graph_guard", "position_limits"], "drivers": ["left_controller", "right_controller"]}
    for name, said in {"robot": about, "safety": safety}.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(said))
    return folder / "robot.yaml"


def test_many_faults_at_once_are_all_named(tmp_path):
    file, log = spoiled_file(tmp_path), tmp_path / "log"
    meant = "nobody publishes /over/color/image_raw (sensor_msgs/msg/Image); of that type there is /top/image_raw"
    with driver("--spoiled"):
        done = smp("check", file, "--live", "--seconds", "2")
        with Graph([NodeSpec("sync", {"robot": str(file)})], log) as graph, graph_client() as client:
            waited = f"waiting for camera over: {meant}"
            client.wait(lambda: waited in log.read_text(), START_S, waited, graph.check)
    assert done.returncode == 2, done.stderr
    lines = done.stdout.splitlines()
    for level, about, said in (
        ("error", "arm left", "s behind this machine's clock"),
        ("error", "arm left", "/left_controller takes /left_controller/joint_trajectory, but QoS is incompatible"),
        ("error", "arm right", "/right/joint_states has 2 publishers (/broadcaster, /joint_state_publisher)"),
        ("error", "arm right", "never names right_wrist (did you mean 'right_rist'?)"),
        ("error", "arm right", "as std_msgs/msg/Float64MultiArray, the robot file makes it trajectory_msgs/msg/Joint"),
        ("error", "camera small", "32x48, the robot file says 64x48: write width: 32, height: 48"),
        ("error", "camera deep", "encoding 16UC1, which is refused"),
        ("warn", "camera still", "images are equal to the bit"),
        ("error", "camera over", f"{meant}: start its driver"),
    ):
        assert any(line.startswith(f"{level:<6}{about}: ") and said in line for line in lines), (about, said, done)
    assert "Traceback" not in done.stderr


def test_a_running_robot_gives_files_that_fit_it(tmp_path):
    with driver("--urdf", URDF):
        done = smp("new", "--from-graph", "--out", tmp_path / "bob", "--name", "bob", "--yes", "--seconds", "2")
        assert done.returncode == 0, done
        said = yaml.safe_load((tmp_path / "bob/robot.yaml").read_text())
        checked = smp("check", tmp_path / "bob/robot.yaml", "--live", "--seconds", "2")
    arms = {arm["name"]: arm for arm in said["arms"]}
    assert arms["left"]["command_topic"] == "left_controller/joint_trajectory"
    assert arms["left_hand"]["command_topic"] == "left_gripper_controller/joint_trajectory"
    assert arms["right"]["state_topic"] == "joint_states"
    assert [(camera["topic"], camera["width"], camera["rate_hz"]) for camera in said["cameras"]] == [
        ("top/image_raw", 64, 20.0)
    ]
    assert (said["state_rate_hz"], said["description"]) == (100.0, "robot.urdf")
    assert checked.returncode == 0, checked.stdout
    assert "fine" in checked.stdout
