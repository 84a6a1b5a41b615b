"""`smp view` on a running graph and on a bag of it: what the blueprint shows is there, read back by Rerun itself."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rerun", reason="no Rerun here: make view installs it")
from rerun.chunk import RrdReader
from rerun.urdf import UrdfTree

from smp_bringup.client.graph_client import graph_client
from smp_bringup.description.model import Description
from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph
from smp_bringup.paths import share
from smp_bringup.robot import load_robot
from smp_bringup.view.ribbon import Ribbons

VIEW = [sys.executable, "-m", "smp_bringup.cli.main", "view"]
URDF = share("config", "descriptions", "aloha.urdf")
END_S = 120


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """One recording of a running graph, and one of the bag of the same time."""
    out = tmp_path_factory.mktemp("view")
    nodes = build_graph(sim=True, task="lift_tray", record=str(out / "bags"))
    with Graph(nodes, out / "log") as graph, graph_client() as client:
        client.wait(lambda: bool(client.command_state) and client.service_ready("recorder/start"), END_S, "the graph")
        live = subprocess.Popen([*VIEW, "--live", "--seconds", "15", "--save", out / "live.rrd"])
        client.trigger("recorder/start", END_S)
        client.start_episode("lift_tray", 3, "policy", graph.check)
        client.wait(lambda: live.poll() is not None, END_S, "the end of the live view", graph.check)
        client.trigger("recorder/stop", END_S)
    assert live.returncode == 0
    (bag,) = {path.parent for path in (out / "bags").rglob("*.mcap")}
    done = subprocess.run([*VIEW, bag, "--save", out / "bag.rrd"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "could not be read" not in done.stdout
    return {"live": out / "live.rrd", "bag": out / "bag.rrd"}


def first(batch, name):
    return batch.column(name)[0].as_py()[0]


def views(rrd):
    """Return class and origin of each view of a recording's blueprint."""
    reader, found = RrdReader(rrd), {}
    for chunk in reader.store(store=reader.blueprints()[0]).stream().to_chunks():
        path = str(chunk.entity_path).strip("/").split("/")
        batch = chunk.to_record_batch()
        if len(path) == 2 and path[0] == "view" and "ViewBlueprint:space_origin" in batch.schema.names:
            kind, origin = (first(batch, f"ViewBlueprint:{name}") for name in ("class_identifier", "space_origin"))
            found[origin] = kind
    return found


def logged(rrd):
    """Return per entity how many rows it has over time, and the names of their columns."""
    reader, found = RrdReader(rrd), {}
    for chunk in reader.store(store=reader.recordings()[0]).stream().to_chunks():
        if not chunk.is_static:
            rows, names = found.get(str(chunk.entity_path), (0, frozenset()))
            columns = frozenset(chunk.to_record_batch().schema.names)
            found[str(chunk.entity_path)] = rows + chunk.num_rows, names | columns
    return found


WANTED = {
    "2D": {"Image:buffer", "EncodedImage:blob"},
    "3D": {"LineStrips3D:strips", "Transform3D:translation"},
    "TimeSeries": {"Scalars:scalars"},
    "TextLog": {"TextLog:text"},
    "StateTimeline": {"StateChange:state"},
}
"""What a view of each class can draw."""


def empty(shown, data):
    """Return the views that have nothing to draw."""
    out = []
    for origin, kind in shown.items():
        columns = [names for path, (_, names) in data.items() if f"{path}/".startswith(f"/{origin.strip('/')}/")]
        if not any(names & WANTED[kind] for names in columns):
            out.append(origin)
    return out


@pytest.mark.parametrize("source", ["live", "bag"])
def test_every_view_of_the_blueprint_finds_its_data(recordings, source):
    shown, data = views(recordings[source]), logged(recordings[source])
    assert len(shown) == 9  # three cameras, arms, two plots of joints, gate, mode, events
    assert empty(shown, data) == []
    for lost, origin in (("/gate/weight", "gate"), ("/mode", "mode"), ("/events", "events")):
        assert empty(shown, {path: told for path, told in data.items() if path != lost}) == [origin]
    for path in ("/arms/chunk/left", "/arms/chunk/right", "/joints/left/measured", "/joints/right/commanded"):
        assert data[path][0] > 5, path


def test_a_ribbon_is_where_rerun_itself_has_the_fingers(recordings):
    """Our forward kinematics against that of Rerun's URDF, for random joints."""
    robot, tree = load_robot("aloha"), UrdfTree.from_file_path(URDF)
    rng = np.random.default_rng(0)
    rows = robot.joint_array("min") + rng.random((5, robot.dof)) * (robot.joint_array("max") - robot.joint_array("min"))
    ways = Ribbons(robot, Description(str(URDF))).of(robot.joint_names, rows)
    movers = {joint.child_link: joint for joint in tree.joints()}
    for arm, fingers in (("left", "left_gripper"), ("right", "right_gripper")):
        ends = [j.child_link for j in tree.joints() if fingers in (j.name, j.mimic.joint if j.mimic else "")]
        for row, point in zip(rows, ways[arm], strict=True):
            told = dict(zip(robot.joint_names, row, strict=True))
            assert np.mean([place(movers, end, told) for end in ends], axis=0) == pytest.approx(point, abs=1e-5)


def place(movers, link, told):
    """Return where a link is by Rerun's own transforms."""
    at = np.zeros(3)
    while link in movers:
        joint = movers[link]
        value = told.get(joint.name, 0.0)
        if joint.mimic:
            value = joint.mimic.multiplier * told[joint.mimic.joint] + joint.mimic.offset
        pose = joint.compute_transform(value, clamp=False)
        x, y, z, w = pose.quaternion.as_arrow_array().to_pylist()[0]
        turn = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )
        at = turn @ at + np.array(pose.translation.as_arrow_array().to_pylist()[0])
        link = joint.parent_link
    return at


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name one of the two"),
        (["nowhere", "--live"], "name one of the two"),
        (["nowhere", "--save", "x.rrd"], "nowhere"),
    ],
)
def test_a_mistake_is_one_line(words, said, tmp_path):
    done = subprocess.run([*VIEW, *words], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr
