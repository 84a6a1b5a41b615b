"""The console beside the real simulated graph: who is let in, what it shows, what it asks, and a graph that dies."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the console's extra is not installed: make setup")
sys.path.insert(0, str(Path(__file__).parents[1]))
from console_party import TOKEN, Live, console
from websockets.exceptions import InvalidStatus

from smp_bringup.console.run import require_token
from smp_bringup.errors import ConfigError
from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph


@pytest.fixture(scope="module")
def page():
    """A console without a graph."""
    with console() as running:
        yield running


def test_the_token_moves_from_the_address_to_a_cookie_that_no_script_reads(page):
    status, headers, _ = page.get(f"/?token={TOKEN}", Cookie=None)
    assert (status, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"]
    assert cookie.startswith(page.cookie)
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    status, headers, text = page.get()
    assert status == 200
    assert '<script type="module" src=' in text
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/", "/?token=wrong", "/console.js", "/console.css", "/nothing", "/live"])
@pytest.mark.parametrize("cookie", [None, "smp_console={}", "{}wrong", "{}é"])
def test_without_the_token_nothing_is_served(page, path, cookie):
    given = cookie and cookie.format(page.cookie).encode()
    status, _, text = page.get(path, Cookie=given)
    assert status == 403
    assert TOKEN not in text


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "robot.example:{port}"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:1"},
        {"Host": "192.0.2.7:{port}"},
        {"Origin": "http://robot.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
    ],
)
def test_another_name_or_site_is_refused_with_the_right_token(page, headers):
    assert page.get(**{name: value.format(port=page.port) for name, value in headers.items()})[0] == 403


@pytest.mark.parametrize("path", ["/live", "/ask"])
@pytest.mark.parametrize("given", [{"cookie": "none=1"}, {"origin": "http://robot.example"}, {"origin": None}])
def test_a_websocket_needs_token_and_origin(page, path, given):
    with pytest.raises(InvalidStatus) as refused, page.socket(path, **given):
        pass
    assert refused.value.response.status_code == 403


def test_without_a_graph_it_says_so_and_no_request_is_taken_for_done(page):
    with page.socket("/live") as socket, page.socket("/ask") as asking:
        live = Live(socket)
        assert "no graph is heard in namespace /" in live.until(lambda s: "no graph" in s["gone"])["gone"]
        asking.send("arm")
        answer = page.ask(asking, "estop")
        assert not answer["done"]
        assert "hardware emergency stop" in answer["text"]
        assert not page.ask(asking, "no such verb")["done"]


@pytest.mark.parametrize(
    ("bind", "token", "said"),
    [
        ("0.0.0.0", "", "choose a --token"),
        ("192.0.2.7", "", "choose a --token"),
        ("127.0.0.1", "short", "--token must be 16 or more"),
        ("127.0.0.1", "with spaces and more;", "--token must be 16 or more"),
        ("robot.example", TOKEN, "must be an address"),
    ],
)
def test_a_wider_door_needs_a_token_that_is_not_guessed(bind, token, said):
    with pytest.raises(ConfigError, match=said):
        require_token(bind, token)


def test_only_loopback_is_only_this_machine():
    assert require_token("127.0.0.1", "")
    assert require_token("::1", "")
    assert not require_token("0.0.0.0", TOKEN)


def test_a_refusal_is_one_line_and_exit_code_2():
    command = [sys.executable, "-m", "smp_bringup.cli.main", "console", "--bind", "0.0.0.0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "choose a --token" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_it_shows_and_asks_a_graph_that_dies_and_returns(page, tmp_path):
    with page.socket("/live") as socket, page.socket("/live") as other, page.socket("/ask") as asking:
        live, second = Live(socket), Live(other)
        assert [arm["name"] for arm in live.robot["arms"]] == ["left", "right"]
        with Graph(build_graph(sim=True), tmp_path / "log"):
            live.until(lambda s: s["alive"] and s["mode"] == "disarmed" and None not in s["measured"])
            cameras = set(live.robot["cameras"])
            for view in ("camera", "policy"):
                live.pictures.clear()
                live.until(lambda _: live.pictures.keys() == cameras, " ".join([view, *cameras]))
                assert all(picture.startswith(b"\xff\xd8\xff") for picture in live.pictures.values())
            live.until(lambda s: s["gate"] and "experts" in s["gate"]["words"])
            live.until(lambda _: {"rate of commands", "camera to chunk"} <= {row["name"] for row in live.figures})
            refused = page.ask(asking, "policy")
            assert not refused["done"]
            assert refused["text"].startswith("cannot follow policy in disarmed")
            assert page.ask(asking, "estop") == {"verb": "estop", "done": True, "text": "emergency stop"}
            for view in (live, second):
                state = view.until(lambda s: s["mode"] == "estop" and s["log"])
                assert state["words"] == "Emergency stop: release it, then reset."
                assert state["log"][0]["text"] == "emergency stop"
        live.until(lambda s: not s["alive"] and s["measured"] == s["commanded"] == [None] * 14)
        assert live.state["gone"].startswith("The command node has been silent")
        with Graph(build_graph(sim=True, model="none"), tmp_path / "log2"):
            live.until(lambda s: s["alive"] and s["mode"] == "disarmed")
            answer = page.ask(asking, "hold")
            assert answer["text"].startswith("cannot hold in disarmed")
    assert page.process.poll() is None
