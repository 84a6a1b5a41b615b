"""The launch files under the official `ros2 launch`; skipped where that is not installed, as with PyPI's wheels.

The sources of launch, launch_ros and ros2cli run on top of the wheels, too: docs/notebook.md, 2026-11-29.
"""

import shutil
import signal
import subprocess
from contextlib import contextmanager

import pytest

from smp_bringup.client.graph_client import graph_client

ROS2 = shutil.which("ros2")
pytestmark = pytest.mark.skipif(ROS2 is None, reason="no `ros2`")
END_S = 60


def words(*arguments):
    return [ROS2, "launch", "smp_bringup", "bimanual.launch.py", "sim:=true", *arguments]


def launch(*arguments):
    """Run the launch file to its end; return its exit code and all it said."""
    return ended(words(*arguments))


def ended(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=END_S, check=False)
    return done.returncode, done.stdout + done.stderr


@contextmanager
def launched(log, *arguments):
    """Give a running launch, and end it as with Ctrl-C."""
    with log.open("w") as file:
        process = subprocess.Popen(words(*arguments), stdout=file, stderr=file, start_new_session=True)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait(END_S)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("robot:=nope", "error: unknown robot 'nope'; known: aloha"),
        ("model:=nope", "error: unknown model 'nope'; known:"),
        ("safety:=nope", "error: unknown safety settings 'nope'; known:"),
        ("seed:=many", "error: launch argument seed must be a whole number, got 'many'"),
    ],
)
def test_what_does_not_exist_ends_the_launch_with_one_line_and_exit_code_2(argument, message):
    code, said = launch(argument)
    assert code == 2, said
    assert [line for line in said.splitlines() if "error" in line] == [
        line for line in said.splitlines() if line.startswith(message)
    ]
    assert "process started" not in said


@pytest.mark.parametrize(
    ("file", "argument", "message"),
    [
        ("replay.launch.py", "bag:=/nope", "error: bag '/nope' does not exist"),
        ("replay.launch.py", "model:=smp_aloha", "error: name the bag to play by bag:="),
        ("sim.launch.py", "robot:=nope", "error: unknown robot 'nope'; known: aloha"),
    ],
)
def test_neither_do_the_other_launch_files_start_anything(file, argument, message):
    code, said = ended([ROS2, "launch", "smp_bringup", file, argument])
    assert code == 2, said
    assert message in said
    assert "process started" not in said


def test_a_node_that_refuses_to_start_ends_the_launch_with_its_line_and_exit_code_2():
    code, said = launch("seam:=prefix")  # the policy node says it, and is not started again
    assert code == 2, said
    assert "error: seam prefix needs a policy trained with prefix_steps" in said
    assert said.count("policy_node-4]: process started") == 1
    assert "Traceback" not in said


def test_arguments_reach_the_nodes_and_ctrl_c_ends_all_with_0(tmp_path):
    arguments = ("namespace:=robot1", "seam:=blend", "model:=none", f"record:={tmp_path}", "use_sim_time:=true")
    with launched(tmp_path / "log", *arguments) as process, graph_client(namespace="robot1") as client:
        client.wait(lambda: client.accepts("arm"), END_S, "the robot to be armed")
        assert client.service_ready("/robot1/recorder/start")
        assert client.count_publishers("/clock") == 1
        names = [name for name, namespace in client.get_node_names_and_namespaces() if namespace == "/robot1"]
        assert sorted(names) == ["blackbox", "command", "recorder", "sim", "smp_client", "sync"]
    assert process.returncode == 0, (tmp_path / "log").read_text()
