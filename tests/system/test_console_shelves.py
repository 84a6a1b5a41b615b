"""Episodes and stops over the console's HTTP: what is listed, what is refused, and what a mark does to training."""

import json
import sys
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the console's extra is not installed: make setup")
sys.path.insert(0, str(Path(__file__).parents[1]))
from console_party import Live, console, episode_bag

from smp_bringup.bag.reader import open_bag
from smp_bringup.errors import BagError
from smp_bringup.training.job import TrainingJob, demonstrations
from smp_bringup.training.split import split

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of bags: two that are sound, one whose name and task are hostile, and links that lead out of it."""
    root = tmp_path_factory.mktemp("data")
    for k in range(2):
        episode_bag(root / "lift" / f"episode_{k:05d}", "lift the box", k)
    episode_bag(root / "x" / HOSTILE, HOSTILE, 2)
    outside = tmp_path_factory.mktemp("outside")
    episode_bag(outside / "secret", "secret", 3)
    (root / "link").symlink_to(outside)
    (root / "lift" / "linked").symlink_to(outside / "secret")
    return root


@pytest.fixture(scope="module")
def page(data):
    """A console of that folder, without a graph."""
    with console("--data", str(data), "--stops", str(data / "none")) as running:
        yield running


def listed(page):
    status, _, text = page.get("/data")
    assert status == 200
    return {entry["name"]: entry for entry in json.loads(text)["entries"]}


def post(page, path, body, **headers):
    """Return status and answer of a POST as the page makes it; a header `None` is left out."""
    asked = {"Host": f"127.0.0.1:{page.port}", "Cookie": page.cookie, "Origin": page.origin, **headers}
    connection = HTTPConnection("127.0.0.1", page.port, timeout=20)
    connection.request("POST", path, body, headers={name: value for name, value in asked.items() if value})
    response = connection.getresponse()
    answer = response.status, response.read().decode()
    connection.close()
    return answer


def test_what_lies_in_the_folder_is_listed_and_no_link_is_followed(page):
    entries = listed(page)
    assert set(entries) == {"lift/episode_00000", "lift/episode_00001", f"x/{HOSTILE}"}
    assert entries["lift/episode_00000"]["task"] == "lift the box"
    assert entries["lift/episode_00000"]["outcome"] == "success"
    assert json.loads(page.get("/stops")[2])["entries"] == []


def test_an_episode_is_told_with_its_pictures(page):
    entry = listed(page)["lift/episode_00001"]
    status, _, text = page.get(f"/data/{entry['id']}")
    story = json.loads(text)
    assert (status, story["stop"]) == (200, None)
    assert [len(camera["at_s"]) for camera in story["cameras"]] == [5, 0, 0]
    with page.socket("/live"):  # beside a browser that looks
        status, headers, _ = raw(page, f"/data/{entry['id']}/overview/4")
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    for path in ("overview/5", "overview/-1", "overview/x", "wrist_left/0", "no_camera/0"):
        assert page.get(f"/data/{entry['id']}/{path}")[0] == 404, path


def raw(page, path):
    connection = HTTPConnection("127.0.0.1", page.port, timeout=20)
    connection.request("GET", path, headers={"Host": f"127.0.0.1:{page.port}", "Cookie": page.cookie})
    response = connection.getresponse()
    answer = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return answer


@pytest.mark.parametrize(
    "path",
    [
        "/data/..",
        "/data/../../etc/passwd",
        "/data/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/data//etc/passwd",
        "/data/%2fetc%2fpasswd",
        "/data/lift%2fepisode_00000",
        "/data/lift/episode_00000",
        "/data/%00",
        "/data/" + "a" * 5000,
        "/data/link",
        "/stops/..",
        "/story.py",
        "/../door.py",
        "/page/../door.py",
    ],
)
def test_a_path_that_a_browser_names_leads_nowhere(page, path):
    listed(page)
    status, _, text = page.get(path)
    assert status in (307, 404), text
    assert "root:" not in text


@pytest.mark.parametrize("path", ["/data", "/stops", "/data/0/overview/0", "/story.js"])
def test_without_the_token_no_episode_is_shown(page, path):
    assert page.get(path, Cookie=None)[0] == 403


def test_a_mark_needs_token_origin_and_a_word_that_may_be_said(page, data):
    entry = listed(page)["lift/episode_00000"]
    path, good = f"/mark/{entry['id']}", json.dumps({"use": "held_out"})
    assert post(page, path, good, Cookie=None)[0] == 403
    assert post(page, path, good, Origin=None)[0] == 403
    assert post(page, path, good, Origin="http://robot.example")[0] == 403
    for bad in ('{"use": "sometimes"}', '{"path": "/etc"}', "[]", "{", "x" * 5000, '{"outcome": ["success"]}'):
        status, text = post(page, path, bad)
        assert status == 404
        assert json.loads(text)["text"]
    assert post(page, "/mark/0", good)[0] == 404
    assert not (data / "lift" / "episode_00000" / "mark.yaml").exists()


def test_a_mark_is_what_every_reader_and_training_obey(page, data):
    first, second = data / "lift" / "episode_00000", data / "lift" / "episode_00001"
    entries = listed(page)
    assert post(page, f"/mark/{entries['lift/episode_00000']['id']}", '{"use": "held_out"}')[0] == 200
    assert post(page, f"/mark/{entries['lift/episode_00001']['id']}", '{"outcome": "failure"}')[0] == 200
    entries = listed(page)
    assert entries["lift/episode_00000"]["use"] == "held_out"
    assert open_bag(second).outcome == "failure"
    assert open_bag(first).outcome == "success"
    train, held = split(("lift",) * 3, 0.1, 0, (False, open_bag(first).episode["use"] == "held_out", False))
    assert (train.tolist(), held.tolist()) == ([0, 2], [1])
    with pytest.raises(BagError, match="marked as held out"):
        split(("lift",) * 2, 0.1, 0, (True, True))
    (second / "mark.yaml").write_text("outcome: [1, 2]\n")
    with pytest.raises(BagError, match=r"mark\.yaml cannot be used"):
        open_bag(second)
    assert "mark.yaml" in listed(page)["lift/episode_00001"]["wrong"]
    (second / "mark.yaml").unlink()


def test_what_the_black_box_kept_is_no_demonstration(tmp_path):
    episode_bag(tmp_path / "a" / "episode_00000", "lift", 0)
    episode_bag(tmp_path / "a" / "20261130_120000_fault", "lift", 1, stopped="fault")
    assert [path.name for path in demonstrations(TrainingJob(tmp_path, "smp"))] == ["episode_00000"]


def test_a_bag_that_cannot_be_read_is_one_line(page, data):
    entry = listed(page)["lift/episode_00001"]
    (file,) = (data / "lift" / "episode_00001").glob("*.mcap")
    sound = file.read_bytes()
    file.write_bytes(sound[:-100])
    try:
        status, _, text = page.get(f"/data/{entry['id']}")
        assert status == 404
        assert "smp bag repair" in json.loads(text)["text"]
    finally:
        file.write_bytes(sound)
    assert np.isfinite(json.loads(page.get(f"/data/{entry['id']}")[2])["duration_s"])


def test_checkpoints_are_listed_with_card_and_fit_and_only_those_are_looked_at(page):
    status, _, text = page.get("/models")
    entries = {entry["name"]: entry["id"] for entry in json.loads(text)["entries"]}
    assert status == 200
    assert "smp_aloha" in entries
    told = json.loads(page.get(f"/models/{entries['smp_aloha']}")[2])
    assert (told["misfit"], told["command"]) == ("", "smp up --robot aloha --model smp_aloha")
    assert "demonstrations" in told["card"]
    for path in ("/models/smp_aloha", "/models/..", "/models/0"):
        assert page.get(path)[0] == 404


def test_a_comparison_runs_beside_the_console_and_says_why_it_ended(page):
    models = [entry["id"] for entry in json.loads(page.get("/models")[2])["entries"]]
    episode = listed(page)["lift/episode_00000"]["id"]
    asked = {"episode": episode, "first": models[0], "second": models[1]}
    for wrong in ({"episode": "../x"}, {"first": "smp_aloha"}, {"second": ""}):
        assert post(page, "/compare", json.dumps(asked | wrong))[0] == 404
    assert post(page, "/compare", json.dumps(asked), Origin=None)[0] == 403
    assert post(page, "/compare", json.dumps(asked))[0] == 200
    status, text = post(page, "/compare", json.dumps(asked))
    assert (status, "compared already" in text) == (404, True)
    with page.socket("/live") as socket:  # the episode lacks an arm: replay says so, and so does the page
        state = Live(socket).until(lambda state: state["trial"]["words"] and not state["trial"]["running"])
    assert "missing topics" in state["trial"]["words"]
    assert state["trial"]["rows"] == []
