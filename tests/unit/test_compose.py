"""docker/compose.yaml: what the profile `robot` starts for the variables that it takes."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def interpolated(text, variables):
    """Return text with ${NAME:-default} put in, and $$ as $: as every compose does it."""

    def value(match):
        return "$" if match[0] == "$$" else variables.get(match[1]) or match[2]

    return re.sub(r"\$\$|\$\{(\w+):-([^}]*)\}", value, text)


def service(name, **variables):
    text = interpolated((ROOT / "docker/compose.yaml").read_text(), variables)
    return yaml.safe_load(text)["services"][name]


def started(robot, tmp_path):
    """Return the words that `ros2` gets from the command of the service, in the environment of the service."""
    (tmp_path / "ros2").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "ros2").chmod(0o755)
    environment = {key: str(value or "") for key, value in robot["environment"].items()}
    done = subprocess.run(
        shlex.split(robot["command"]),
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_without_variables_the_shipped_robot_with_what_its_file_names(tmp_path):
    robot = service("robot")
    assert started(robot, tmp_path) == ["launch", "smp_bringup", "bimanual.launch.py", "robot:=aloha"]
    for mount in robot["volumes"]:
        assert (ROOT / "docker" / mount.split(":")[0]).exists(), mount
        assert mount.endswith(":ro")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ROBOT": "/me/my_robot"}, ["robot:=/robot/robot.yaml"]),
        ({"ROBOT": "/me/my_robot", "MODEL": "/me/model"}, ["robot:=/robot/robot.yaml", "model:=/model"]),
        (
            {"ROBOT": "/me/my_robot", "SAFETY": "/me/careful.yaml", "MODEL": "/me/model"},
            ["robot:=/robot/robot.yaml", "safety:=/safety.yaml", "model:=/model"],
        ),
        ({"MODEL": "/me/model"}, ["robot:=aloha", "model:=/model"]),
    ],
)
def test_robot_safety_and_model_are_mounted_and_started(variables, expected, tmp_path):
    robot = service("robot", **variables)
    assert started(robot, tmp_path)[3:] == expected
    mounted = {mount.split(":")[1]: mount.split(":")[0] for mount in robot["volumes"]}
    places = {"ROBOT": "/robot", "SAFETY": "/safety.yaml", "MODEL": "/model"}
    assert {name: mounted[places[name]] for name in variables} == variables


def test_the_other_profiles_start_as_they_did():
    assert service("sim")["command"] == "ros2 launch smp_bringup bimanual.launch.py sim:=true"
    assert service("replay", BAG="/me/bag")["volumes"] == ["/me/bag:/bag:ro"]
