"""Write a Foxglove layout for a robot: cameras, joints measured and commanded, gate, modes, diagnostics, arms in 3D.

    python tools/foxglove_layout.py [ROBOT] > my_layout.json

ROBOT is a robot in config/robots or a path to a YAML file; config/foxglove/bimanual.json is that of `aloha`.
Foxglove finds a joint by its place in a message: the plots name measured joints rightly where the driver says them in
the order of the robot file.
The form is the one that Foxglove exports and imports as a file: panels by id, and a tree of where they stand.
"""

import json
import sys
from typing import Any

from smp_bringup.arm import Arm
from smp_bringup.manifest import read_checked
from smp_bringup.policy.checkpoint import find_model, read_config
from smp_bringup.robot import Robot, load_robot

_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf")
_STATES = ("mode", "severity", "reason")
_COMMANDED = "commanded/"
"""Before the frames of the commanded arms, as the description node names them."""
_FIELDS = {"joint_state": "position", "joint_trajectory": "points[0].positions", "forward_position": "data"}
"""Where a command says the position of each joint, by the interface of its arm."""

Panels = dict[str, dict[str, Any]]


def layout(robot: Robot, experts: int) -> dict[str, Any]:
    """Return the layout of a robot.

    Args:
        robot: loaded in the root namespace, whose topics bags and the bridge show.
        experts: of the policy that runs it; none: no gate is drawn.
    """
    cameras = {f"Image!{camera.name}": _image(camera.name, camera.topic) for camera in robot.cameras}
    joints = {f"Plot!{arm.name}": _joints(arm) for arm in robot.arms if arm.command_interface in _FIELDS}
    gate: Panels = {"Plot!gate": _gate(experts)} if experts else {}
    below: Panels = {
        "StateTransitions!mode": {"foxglovePanelTitle": "mode, and why", "isSynced": True, "paths": _states()},
        "DiagnosticSummary!nodes": {
            "foxglovePanelTitle": "nodes",
            "minLevel": 0,
            "pinnedIds": [],
            "topicToRender": "/diagnostics",
            "hardwareIdFilter": "",
            "sortByLevel": True,
        },
    }
    scene: Panels = {"3D!arms": _scene()}
    seen = _stack("column", [_stack("row", list(cameras)), *scene])
    drawn = _stack("column", [*joints, *gate, *below])
    return {
        "configById": {**cameras, **scene, **joints, **gate, **below},
        "globalVariables": {},
        "userNodes": {},
        "playbackConfig": {"speed": 1},
        "layout": _stack("row", [seen, drawn]),
    }


def _image(name: str, topic: str) -> dict[str, Any]:
    return {"foxglovePanelTitle": name, "imageMode": {"imageTopic": topic}}


def _scene() -> dict[str, Any]:
    def robot(prefix: str, opacity: float, label: str) -> dict[str, Any]:
        return {
            "layerId": "foxglove.Urdf",
            "instanceId": label,
            "label": label,
            "sourceType": "topic",
            "topic": "/robot_description",
            "framePrefix": prefix,
            "controlMode": "transforms",
            "displayMode": "auto",
            "fallbackColor": "#ffffff",
            "opacity": opacity,
            "visible": True,
        }

    return {
        "foxglovePanelTitle": "measured arms; the commanded ones are translucent",
        "followTf": "world",
        "fixedFrame": "world",
        "followMode": "follow-none",
        "scene": {"transforms": {"visible": False}},
        "cameraState": {
            "distance": 2.2,
            "phi": 60,
            "thetaOffset": 90,
            "target": [0, 0, 0],
            "targetOffset": [0, 0.3, 0.2],
        },
        "layers": {
            "grid": {"layerId": "foxglove.Grid", "instanceId": "grid", "visible": True, "size": 3, "divisions": 12},
            "measured": robot("", 1.0, "measured"),
            "commanded": robot(_COMMANDED, 0.35, "commanded"),
        },
        "topics": {"/robot_description": {"visible": False}},
    }


def _joints(arm: Arm) -> dict[str, Any]:
    measured, told = arm.state_topic, arm.command_topic
    paths = []
    for place, joint in enumerate(arm.joints):
        colour = _COLOURS[place % len(_COLOURS)]
        paths.append(_series(f"{measured}.position[{place}]", f"{joint.name} measured", colour))
        field = _FIELDS[arm.command_interface]
        paths.append(_series(f"{told}.{field}[{place}]", f"{joint.name} commanded", colour, "dashed"))
    return _plot(f"{arm.name} arm: measured, and commanded (dashed)", paths, "rad, m")


def _gate(experts: int) -> dict[str, Any]:
    paths = [
        _series(f"/policy/gate.position[{expert}]", f"weight/{expert}", _COLOURS[expert % len(_COLOURS)])
        for expert in range(experts)
    ]
    kept = 4 * experts  # behind weight, mass, calls and active of each expert
    paths.append(_series(f"/policy/gate.position[{kept}]", "kept_mass", "#7f7f7f", "dotted"))
    return _plot("gate: weight of each expert, and the mass that is run", paths, "")


def _series(value: str, label: str, colour: str, style: str = "solid") -> dict[str, Any]:
    line = {"color": colour, "lineSize": 1, "lineStyle": style}
    return {"value": value, "label": label, "enabled": True, "timestampMethod": "headerStamp", **line}


def _plot(title: str, paths: list[dict[str, Any]], unit: str) -> dict[str, Any]:
    return {
        "foxglovePanelTitle": title,
        "paths": paths,
        "xAxisVal": "timestamp",
        "yAxisLabel": unit,
        "isSynced": True,
        "showLegend": True,
        "legendDisplay": "left",
        "showXAxisLabels": True,
        "showYAxisLabels": True,
        "followingViewWidth": 20,
    }


def _states() -> list[dict[str, Any]]:
    paths = [(key, f'/command/state.status[0].values[:]{{key=="{key}"}}.value') for key in _STATES]
    return [{"value": path, "label": key, "enabled": True, "timestampMethod": "receiveTime"} for key, path in paths]


def _stack(direction: str, parts: list[Any]) -> Any:
    """Return parts beside or below each other, each with the same share, as a tree of pairs."""
    if len(parts) == 1:
        return parts[0]
    rest = _stack(direction, parts[1:])
    return {"direction": direction, "first": parts[0], "second": rest, "splitPercentage": round(100 / len(parts), 1)}


def experts_of(robot: Robot) -> int:
    """Return how many experts the model has that a robot file names."""
    return read_config(read_checked(find_model(robot.model))).experts if robot.model else 0


def main(words: list[str]) -> None:
    """Print the layout."""
    robot = load_robot(words[0] if words else "aloha", "/")
    print(json.dumps(layout(robot, experts_of(robot)), indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
