"""Robot files broken in every way: refused in one line with exit code 2, or sound; never a traceback, never slow.

200 files in the tests; `SMP_FUZZ_FILES=10000 pytest tests/fuzz/test_yaml.py` tries more.
"""

import copy
import math
import os
import random
import sys
from contextlib import suppress
from time import process_time

import pytest
import yaml

from smp_bringup.cli import main as cli
from smp_bringup.config import parse_yaml
from smp_bringup.errors import ConfigError, SmpError
from smp_bringup.paths import named_config
from smp_bringup.pipeline import build_command, build_sync, build_watch
from smp_bringup.robot import load_robot

SOUND = named_config("robots", "aloha").read_bytes()
DATA = parse_yaml(SOUND, "aloha.yaml")
COUNT = int(os.environ.get("SMP_FUZZ_FILES", "200"))
LONGEST_S, LONGEST_LINE = 3.0, 2000

ODD = (
    [None, True, 0, -1, 1e300, -1e300, 1e-9, 1e-300, float("nan"), float("inf"), 10**400, -(10**5000 // 7), 180, 57.3]
    + [
        "",
        " ",
        "a b",
        "\x07",
        "\u202e",
        "\x00",
        "é",
        "x" * 100_000,
        "../../etc",
        "/",
        "//a",
        "/1a",
        "/a/",
        "/command/state",
    ]
    + ["3:30", "010", "0x1F", "1_000", "1e300", "yes", "~", "2020-13-45", "/a b", "~/x", "/tf", "joint_states", "{x}"]
    + [[], {}, [[]], {"a": 1}, [1, 2, 3], {1: 2}, {"name": "x"}, ["a"] * 50]
)
SNIPPETS = (
    [b"\x00", b"\xff\xfe", b"\xe9", b"\xed\xa0\x80", b"\x1b[2J", b"\t", b"\r", b"\n", b"\xe2\x80\xae", b"\xef\xbb\xbf"]
    + [
        b"[",
        b"{",
        b"]",
        b"}",
        b"? ",
        b": ",
        b"- ",
        b"&a ",
        b"*a",
        b"!!python/name:os.system ",
        b"!!int ",
        b"!!timestamp ",
    ]
    + [
        b"!!set ",
        b"!!binary ",
        b"!!bool ",
        b"<<: ",
        b"|",
        b">",
        b"%YAML 9.9\n",
        b"---\n",
        b"...\n",
        b"'",
        b'"',
        b"#",
        b"@",
        b"`",
    ]
    + [
        b"[" * 5000,
        b"{a: " * 2000,
        b"9" * 5000,
        b"1e999",
        b".nan",
        b"=",
        b"3:30:00",
        b'"\\ud800"',
        b"? [a]\n: 1\n",
        b"\n? {a: 1}\n",
    ]
)


def places(value, path=()):
    """Yield the path of every value inside nested lists and mappings."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*path, key)
        yield from places(each, (*path, key))


PLACES = list(places(DATA))


def other_values(rng):
    """Return the sound robot with one to three values replaced, taken out, doubled or scaled."""
    data = copy.deepcopy(DATA)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        *above, key = rng.choice(PLACES)
        try:
            inner = data
            for step in above:
                inner = inner[step]
            act = rng.randrange(5)
            if act == 0:
                del inner[key]
            elif act == 1 and isinstance(inner, list):
                inner.append(copy.deepcopy(inner[key]))
            elif act == 2 and isinstance(inner[key], float | int):
                inner[key] *= rng.choice((-1, 1e-9, 1e-3, math.pi / 180, 180 / math.pi, 1000, 1e9, 1e300))
            else:
                inner[key] = rng.choice(ODD)
        except (KeyError, IndexError, TypeError, AttributeError, OverflowError):
            continue  # what another change took away
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)  # numbers of 5000 digits are written too
    try:
        return yaml.safe_dump(data, allow_unicode=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    finally:
        sys.set_int_max_str_digits(limit)


def other_bytes(rng):
    """Return the sound file with bytes flipped, cut out, doubled, or foreign ones put in."""
    text = bytearray(SOUND)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, size = rng.randrange(len(text) + 1), rng.choice((1, 1, 3, 20, 300))
        act = rng.randrange(5)
        if act == 0 and at < len(text):
            text[at] ^= 1 << rng.randrange(8)
        elif act == 1:
            del text[at : at + size]
        elif act == 2:
            text[at:at] = text[at : at + size]
        elif act == 3:
            text[at:at] = rng.choice(SNIPPETS)
        else:
            text[at:at] = rng.randbytes(size)
    return bytes(text)


def verdict(path, capsys, monkeypatch):
    """Return the line that the command line ends with; the file is read before the bag, which is not there."""
    monkeypatch.setattr(sys, "argv", ["smp", "calibrate", "latency", "nowhere", "--robot", str(path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    assert said.startswith("error: ")
    assert said.count("\n") == 1, said
    assert said.rstrip("\n").isprintable(), said
    assert len(said) < LONGEST_LINE
    return said


def test_a_broken_robot_file_is_refused_in_one_line_or_sound(tmp_path, capsys, monkeypatch):
    path, accepted, slowest = tmp_path / "r.yaml", 0, 0.0
    for number in range(COUNT):
        rng = random.Random(number)
        content = (other_values, other_bytes)[number % 2](rng)
        path.write_bytes(content)
        start = process_time()
        try:
            said = verdict(path, capsys, monkeypatch)
            if "nowhere" in said:
                accepted += 1
                for build in (build_command, build_sync, build_watch):
                    with suppress(SmpError):
                        build(load_robot(str(path)))
        except BaseException:
            print(f"file {number}: {content[:2000]!r}")
            raise
        slowest = max(slowest, process_time() - start)
        assert slowest < LONGEST_S, number
    print(f"{COUNT} robot files: {accepted} accepted, the others refused in one line; slowest {slowest:.2f} s of CPU")
    assert 0.05 < accepted / COUNT < 0.6  # both sides are tried


def scaled(factor, keys, grippers):
    """Return the sound robot with limits of its turning joints, or of its grippers, in another unit."""
    data = copy.deepcopy(DATA)
    for arm in data["arms"]:
        for joint in arm["joints"]:
            if joint.get("gripper", False) is grippers:
                joint.update({key: joint[key] * factor for key in keys})
    return data


def changed(path, value):
    data = inner = copy.deepcopy(DATA)
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return data


JOINT = ("arms", 0, "joints", 0)
POSITIONS = ("min", "max", "home")
EVERY = (*POSITIONS, "velocity", "acceleration", "jerk")
IMPLAUSIBLE = {
    "degrees": (
        scaled(180 / math.pi, EVERY, False),
        "must be in rad, at most 12.57 rad from zero; this looks like degrees",
    ),
    "degrees of position": (scaled(180 / math.pi, POSITIONS, False), "looks like degrees: multiply by pi / 180"),
    **{
        f"degrees of {key}": (scaled(180 / math.pi, [key], False), f"{key} .* must be in .*looks like degrees")
        for key in ("velocity", "acceleration", "jerk")
    },
    "millimetres": (scaled(1000, EVERY, True), "must be in m, .*looks like millimetres: divide by 1000"),
    **{
        f"millimetres of {key}": (scaled(1000, [key], True), f"{key} .* must be in .*looks like millimetres")
        for key in ("velocity", "acceleration", "jerk")
    },
    "base in millimetres": (changed(("arms", 0, "base"), [-469, 500, 0, 0, 0, 0]), "looks like millimetres"),
    "base in degrees": (changed(("arms", 0, "base"), [0, 0.5, 0, 0, 0, 180]), "looks like degrees"),
    "a number of another world": (changed((*JOINT, "max"), 1e300), "no number here is above 1e\\+09"),
    "never accelerates": (changed((*JOINT, "acceleration"), 1e-9), "a joint that hardly moves cannot be driven"),
    "control period": (changed(("control_period_s",), 1e-9), r"must be a number in \[0.001, 0.1\], got 1e-09"),
    "action period": (changed(("action_period_s",), 1e-9), r"must be a number in \[0.001, 1\], got 1e-09"),
    "rate": (changed(("cameras", 0, "rate_hz"), 1e-9), "rate_hz must be a number in"),
    "no arms": (changed(("arms",), []), "at least one arm"),
    "no cameras": (changed(("cameras",), []), "at least one camera"),
    "an arm of a thousand joints": (
        changed(("arms", 0, "joints"), [DATA["arms"][0]["joints"][0] | {"name": f"j{k}"} for k in range(1000)]),
        "at most 128 joints, got 1007",
    ),
    **{
        f"topic {topic!r}": (changed(("arms", 0, "state_topic"), topic), why)
        for topic, why in {
            "/command/state": "is not free",
            "/observation/joint_states": "is not free",
            "/tf": "is not free",
            "/rosout": "is not free",
            "/estop": "is not free",
            "/a b": "must be a ROS name",
            "/1a": "must be a ROS name",
            "/a//b": "must be a ROS name",
            "/a/": "must be a ROS name",
            "~/a": "must be a ROS name",
            "/a__b": "must be a ROS name",
            "/a-b": "must be a ROS name",
            "/" + "a" * 300: "must be a ROS name",
        }.items()
    },
    "camera as a path": (changed(("cameras", 0, "name"), "../x"), "camera name '../x' must be letters"),
    "camera of the sync node": (changed(("cameras", 0, "name"), "joint_states"), "no camera can be called"),
    "camera of the cache": (changed(("cameras", 0, "name"), "action"), "no camera can be called"),
    "arm with a space": (changed(("arms", 0, "name"), "left arm"), "arm name 'left arm' must be letters"),
    "control character": (changed((*JOINT, "name"), "a\x07b"), "holds the control character"),
    "text that runs backwards": (changed(("name",), "a\u202eb"), "holds the control character"),
    "empty name": (changed((*JOINT, "name"), ""), "must be 1 to 100 printable characters"),
}


@pytest.mark.parametrize("name", IMPLAUSIBLE)
def test_what_no_robot_can_be_is_refused_with_what_to_do(name, tmp_path):
    data, why = IMPLAUSIBLE[name]
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    with pytest.raises(ConfigError, match=why):
        load_robot(str(path))


@pytest.mark.parametrize("number", ["3:30", "1:00:00", "010", "0x1F", "0b11", "1_000", "0o17"])
@pytest.mark.parametrize("key", ["max: 3.14158", "velocity: 3.0", "observation_width: 96"])
def test_numbers_that_each_reader_reads_otherwise_are_refused(key, number, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_bytes(SOUND.replace(key.encode(), f"{key.split(':')[0]}: {number}".encode(), 1))
    with pytest.raises(ConfigError, match=rf"got '{number}': write a plain decimal number, e.g. 0.25"):
        load_robot(str(path))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("é".encode("latin-1") + SOUND, "line 1: byte 0xe9 is not UTF-8: save the file as UTF-8"),
        (SOUND.decode().encode("utf-16"), "is not UTF-8"),
        (b"x: " + b"[" * 100_000, "nested deeper than 32 levels"),
        (b"{a: " * 50_000, "nested deeper than 32 levels"),
        (b"- " * 100_000, "nested deeper than 32 levels"),
        (b"? [a, b]\n: 1\n" + SOUND, "a key must be a word"),
        (b"? {a: b}\n: 1\n" + SOUND, "a key must be a word"),
        (SOUND.replace(b"min: -3.14158", b"min: -" + b"9" * 400, 1), "got a whole number of 400 digits"),
        (SOUND.replace(b"min: -3.14158", b"min: -" + b"9" * 5000, 1), "not valid YAML"),
        (
            SOUND.replace(b"observation_width: 96", b"observation_width: " + b"9" * 400, 1),
            "got a whole number of 400 digits",
        ),
        (SOUND + b"extra: !!timestamp x\n", "tags"),
        (SOUND + b"extra: !!int ''\n", "tags"),
        (b"<<: {name: y}\n" + SOUND, "unknown key '<<'"),
        (b"a: 1\n" + b"#" * 1_000_001, "more than 1000000 bytes"),
        (b"", "expected a mapping of keys to values, got nothing"),
    ],
)
def test_bytes_that_are_no_robot_are_refused(content, why, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_bytes(content)
    start = process_time()
    with pytest.raises(ConfigError, match=why):
        load_robot(str(path))
    assert process_time() - start < LONGEST_S


def test_a_name_that_the_system_cannot_have_does_not_exist():
    for name in ("x" * 5000 + ".yaml", "a\x00b.yaml"):
        with pytest.raises(ConfigError, match="does not exist"):
            load_robot(name)
