"""Nodes and verbs that refuse to start: one line and exit code 2; nothing of them runs on."""

import re
import subprocess
import sys

import pytest

from smp_bringup.output import held_alone

NODES = ("command", "sync", "teleop", "sim", "recorder", "policy")


def node(name, *parameters, env=None, timeout=120):
    """Run a node to its end."""
    command = [sys.executable, "-m", f"smp_bringup.nodes.{name}_node", "--ros-args"]
    for parameter in parameters:
        command += ["-p", parameter]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=env, check=False)


@pytest.fixture
def bad_robot(tmp_path):
    from smp_bringup.paths import named_config

    path = tmp_path / "robot.yaml"
    path.write_text(named_config("robots", "aloha").read_text().replace("control_period_s", "control_perod_s"))
    return path


@pytest.mark.parametrize(
    ("name", "parameter", "message"),
    [
        ("policy", "model:=nothing", "unknown model 'nothing'"),
        ("policy", "device:=tpu", "device must be one of cpu, cuda, got 'tpu'"),
        ("policy", "seed:=-1", "seed must be a whole number in [0"),
        ("command", "safty:=default", "unknown parameter 'safty' (did you mean 'safety'?)"),
        ("command", "safety:=3", "safety must be text, got '3'"),
        ("sim", "task:=juggle", "unknown task 'juggle'"),
        ("sync", "robot:=panda", "unknown robot 'panda'"),
        ("teleop", "noise:=9.0", "noise must be a number in [0, 0.1], got 9.0"),
    ],
)
def test_a_mistake_in_a_parameter_is_one_line_and_exit_code_2(name, parameter, message):
    done = node(name, parameter)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2, done.stderr
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in done.stderr


def test_a_node_whose_standard_error_is_closed_refuses_as_others_do():
    """It ended at once, with another code, and nobody could hear why."""
    line = f"{sys.executable} -m smp_bringup.nodes.command_node --ros-args -p safty:=default 2>&-"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stdout


OWN = """
command:
  ros__parameters: {realtim: "off"}
"""


def test_in_a_section_of_its_own_a_parameter_that_a_node_lacks_is_refused(tmp_path):
    (tmp_path / "own.yaml").write_text(OWN)
    command = [sys.executable, "-m", "smp_bringup.nodes.command_node", "--ros-args", "--params-file"]
    done = subprocess.run(
        [*command, str(tmp_path / "own.yaml")], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert "command: unknown parameter 'realtim' (did you mean 'realtime'?)" in done.stderr


def test_a_misspelt_key_in_the_robot_file_is_named_with_its_nearest(bad_robot):
    done = node("sync", f"robot:={bad_robot}")
    assert done.returncode == 2
    assert "unknown key 'control_perod_s' (did you mean 'control_period_s'?)" in done.stderr


def test_the_package_imports_in_no_time():
    code = "import sys, smp_bringup; print([m for m in sys.modules if m in ('torch', 'numpy', 'rclpy', 'mujoco')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


SMALL = "mount -t tmpfs -o size={size} tmpfs /dev/shm && exec "
"""In a namespace of its own, so that nobody else's shared memory is touched."""


@pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0, reason="no right to mount"
)
@pytest.mark.parametrize(
    ("words", "code", "size"),
    [*((f"smp_bringup.nodes.{name}_node", 2, "40m") for name in NODES), ("smp_bringup.cli.main top", 2, "40m")]
    + [("smp_bringup.cli.main record", 2, "40m"), ("smp_bringup.cli.main doctor", 0, "40m")]
    # So full that the import of rclpy would end with SIGBUS: its tracing maps a page.
    + [("smp_bringup.nodes.command_node", 2, "4k"), ("smp_bringup.cli.main estop", 2, "4k")]
    + [("smp_bringup.cli.main chaos", 2, "4k"), ("smp_bringup.cli.main doctor", 0, "4k")],
)
def test_too_little_shared_memory_is_one_line(words, code, size, tmp_path):
    command = ["unshare", "-m", "sh", "-c", f"{SMALL.format(size=size)} {sys.executable} -m {words}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    said = [
        line
        for line in (done.stdout + done.stderr).splitlines()
        if re.search("/dev/shm has ([34][0-9] MiB|[04] KiB) free", line)
    ]
    assert len(said) == 1, done
    assert "--shm-size" in said[0]
    assert "Traceback" not in done.stderr
    assert done.returncode == code


def test_two_chaos_runs_do_not_share_a_folder(tmp_path):
    command = [sys.executable, "-m", "smp_bringup.cli.main", "chaos", "--faults", "F16", "--out", str(tmp_path)]
    with held_alone(tmp_path, "chaos"):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: another chaos runs in '{tmp_path}': wait for it, or choose another --out"
    ]
