"""Meshes that MuJoCo does not read itself become the same shapes as those that it reads.

The Collada reader was held against Coal's (assimp) once, over all 286 files of example-robot-data 6.0.0: no difference.
"""

import struct

import numpy as np
import pytest

from smp_bringup.description.capsules import shapes
from smp_bringup.description.collada import collada_corners
from smp_bringup.description.model import Description
from smp_bringup.errors import ConfigError

CORNERS = np.array([(x, y, z) for x in (0, 0.2) for y in (0, 0.1) for z in (0, 0.3)])
FACES = [(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1), (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4)]
FACES += [(1, 5, 7), (1, 7, 3)]
URDF = """<robot name="one"><link name="base"/><link name="hand"><collision><geometry>
<mesh filename="{}" scale="{}"/></geometry></collision></link>
<joint name="turn" type="revolute"><parent link="base"/><child link="hand"/><axis xyz="0 0 1"/>
<limit lower="-1" upper="1" effort="1" velocity="1"/></joint></robot>"""
DAE = """<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">
<asset><unit meter="{unit}"/><up_axis>Y_UP</up_axis></asset>
<library_geometries><geometry id="box"><mesh>
<source id="places"><float_array id="numbers" count="27">{numbers} 9 9 9</float_array></source>
<vertices id="vertices"><input semantic="POSITION" source="#places"/></vertices>
<triangles count="12"><input semantic="NORMAL" source="#places" offset="1"/>
<input semantic="VERTEX" source="#vertices" offset="0"/><p>{faces}</p></triangles></mesh>
</geometry></library_geometries>
<library_nodes><node id="shown"><instance_geometry url="#box"/></node></library_nodes>
<library_visual_scenes><visual_scene id="scene"><node><translate>1 0 0</translate><rotate>0 0 1 90</rotate>
<node><matrix>2 0 0 0 0 2 0 0 0 0 2 0 0 0 0 1</matrix><instance_node url="#shown"/></node></node></visual_scene>
</library_visual_scenes><scene><instance_visual_scene url="#scene"/></scene></COLLADA>"""


def collada(unit=1.0):
    numbers = " ".join(f"{value:g}" for value in CORNERS.ravel())
    return DAE.format(unit=unit, numbers=numbers, faces=" ".join(f"{k} 0" for face in FACES for k in face))


def text_stl(points=CORNERS):
    facets = "".join(
        "facet normal 0 0 0\nouter loop\n"
        + "".join("vertex {:e} {:e} {:e}\n".format(*points[k]) for k in face)
        + "endloop\nendfacet\n"
        for face in FACES
    )
    return f"solid box\n{facets}endsolid box\n".encode()


def binary_stl(faces, points=CORNERS):
    rows = np.zeros(len(faces), dtype=[("numbers", "<f4", 12), ("colour", "<u2")])
    rows["numbers"][:, 3:] = points[np.array(faces)].reshape(-1, 9)
    return b"\0" * 80 + struct.pack("<I", len(faces)) + rows.tobytes()


def corners_of(folder, name, content, scale="1 1 1"):
    """Return the corners of the one shape of a robot whose mesh this is."""
    (folder / name).write_bytes(content)
    (folder / "robot.urdf").write_text(URDF.format(name, scale))
    description = Description(str(folder / "robot.urdf"), shapes=True)
    (shape,) = shapes(description.model, description.link("hand"))
    return shape.points


def alike(found, wanted):
    found, wanted = (np.array(sorted(np.round(each, 5).tolist())) for each in (found, wanted))
    np.testing.assert_allclose(found, wanted, atol=2e-5)


def test_a_collada_scene_is_read_with_its_units_and_nodes():
    turned = 2 * CORNERS @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]) + [1, 0, 0]
    alike(collada_corners(collada().encode(), "box.dae"), turned)
    alike(collada_corners(collada(0.01).encode(), "box.dae"), turned / 100)


def test_shapes_are_the_same_whatever_file_they_come_from(tmp_path):
    many = FACES * (200_001 // len(FACES) + 1)
    for name, content in (
        ("binary.stl", binary_stl(FACES)),
        ("text.STL", text_stl()),
        ("many.stl", binary_stl(many)),
        ("text_in_mm.stl", text_stl(1000 * CORNERS)),
    ):
        scale = "0.001 0.001 0.001" if "mm" in name else "1 1 1"
        alike(corners_of(tmp_path, name, content, scale), CORNERS)
    alike(corners_of(tmp_path, "box.dae", collada().encode()), collada_corners(collada().encode(), "box.dae"))


def test_a_plate_without_thickness_gets_a_millimetre(tmp_path):
    plate = CORNERS * [1000, 1000, 0]
    for name, content in (("text.stl", text_stl(plate)), ("binary.stl", binary_stl(FACES, plate))):
        found = corners_of(tmp_path, name, content, "0.001 0.001 0.001")
        np.testing.assert_allclose(np.ptp(found, axis=0), [0.2, 0.1, 0.001], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.dae", b"", "not valid XML"),
        ("a.dae", b"<html/>", "expected <COLLADA>"),
        ("a.dae", b"<COLLADA/>", "has no corners"),
        ("a.dae", collada().replace("#box", "#bax").encode(), "names '#bax'"),
        ("a.dae", collada().replace('url="#shown"', 'url="#scene"').encode(), "more than"),
        ("a.dae", collada().replace("<p>0 0", "<p>99 0").encode(), "out of bounds"),
        ("a.dae", collada().replace("0.2", "nan").encode(), "no number"),
        ("a.dae", collada().replace('offset="0"', 'offset="x"').encode(), "cannot be read|can be read"),
        ("a.stl", b"", "has no corners"),
        ("a.stl", b"solid\nvertex 1 2 three\n", "neither binary nor text"),
        ("a.stl", binary_stl(FACES)[:-7], "has no corners"),
        ("a.stl", binary_stl(FACES, np.full((8, 3), np.nan)), "mesh|vert"),
    ],
)
def test_what_is_no_mesh_is_refused_in_a_line(tmp_path, name, content, said):
    with pytest.raises(ConfigError, match=said) as refusal:
        corners_of(tmp_path, name, content)
    assert "\n" not in str(refusal.value)
