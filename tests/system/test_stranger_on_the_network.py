"""Two network namespaces, as two machines on one cable: what a stranger on the other one can do to a graph.

The table of docs/safety.md ("What a stranger on the network can and cannot do") is what these tests hold to.
"""

import json
import os
import selectors
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTY = Path(__file__).with_name("network_party.py")
HOST, STRANGER = "10.231.0.1", "10.231.0.2"
ANSWER_S = 120
DOMAIN = "7"
LOOPBACK = "127"


def inside(space, *command):
    """Return a command in a namespace."""
    return ["ip", "netns", "exec", space, *command]


def ip(*words):
    """Run `ip`; skip where this machine does not let us."""
    try:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no `ip`: install iproute2")
    if done.returncode:
        pytest.skip(f"no network namespaces here: ip {' '.join(words)}: {done.stderr.strip()}")


@pytest.fixture
def spaces():
    """Two namespaces with a cable between them, each with a loopback, and nothing else."""
    names = host, stranger = f"smp_{os.getpid()}_a", f"smp_{os.getpid()}_b"
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", "cable", "netns", host, "type", "veth", "peer", "name", "cable", "netns", stranger)
        for name, address in zip(names, (HOST, STRANGER), strict=True):
            quiet = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 0 > /proc/sys/net/ipv4/icmp_ratemask"
            subprocess.run(inside(name, "sh", "-c", quiet), check=False)
            ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", name, "link", "set", device, "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


class Process:
    """One of the two, and the orders it obeys."""

    def __init__(self, space, role, patience_s, log, reach, memory="shared", **more):
        env = {name: value for name, value in os.environ.items() if "PROFILES_FILE" not in name}
        env |= {"ROS_AUTOMATIC_DISCOVERY_RANGE": reach, "ROS_DOMAIN_ID": DOMAIN, **more}
        if role == "stranger":
            env["ROS_STATIC_PEERS"] = HOST
        own = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev/shm && exec "$@"', "sh"]
        command = [sys.executable, str(PARTY), role, str(patience_s), str(log)]
        command = inside(space, *(own if memory == "own" else []), *command)
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self._answer("start")

    def __call__(self, order):
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        return self._answer(order)

    def end(self):
        """Let it stop what it started."""
        self._process.communicate(timeout=ANSWER_S)

    def _answer(self, order):
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            assert selector.select(ANSWER_S), f"no answer to {order}"
        line = self._process.stdout.readline()
        assert line, f"it ended at {order}"
        return json.loads(line)


@contextmanager
def parties(spaces, tmp_path, *, reach, patience_s, memory, **more):
    """Give the host, armed, and how to start the stranger."""
    running = [Process(spaces[0], "host", patience_s, tmp_path / "graph.log", reach, **more)]
    try:
        assert running[0]("is_heard_by_all") == "hold"

        def stranger(**more):
            running.append(Process(spaces[1], "stranger", patience_s, tmp_path / "none", "SUBNET", memory, **more))
            return running[-1]

        yield running[0], stranger
    finally:
        for process in reversed(running):
            process.end()


def addresses(space):
    """Return the local addresses that sockets in a namespace are bound to, IPv6 as they are."""
    found = set()
    for table in ("udp", "udp6", "tcp", "tcp6", "raw", "raw6"):
        done = subprocess.run(inside(space, "cat", f"/proc/net/{table}"), capture_output=True, text=True, check=True)
        for line in done.stdout.splitlines()[1:]:
            packed = bytes.fromhex(line.split()[1].split(":")[0])
            found.add(".".join(str(part) for part in reversed(packed)) if len(packed) == 4 else packed.hex())
    return found


def packets(space):
    """Return how many packets have come over the cable."""
    done = subprocess.run(inside(space, "cat", "/proc/net/dev"), capture_output=True, text=True, check=True)
    return next(int(line.split()[2]) for line in done.stdout.splitlines() if "cable:" in line)


def leaves_the_arms_alone(stranger, host, open_ports):
    """Let a stranger try everything; return whether the arms hold."""
    for order in ("sees_a_camera", "arms", "drives", "claims_an_arm", "presses"):
        assert stranger(order) is False
    assert bool(stranger("floods")) == open_ports
    if host("mode") == "hold":
        return True
    host("arms")  # a machine that stalls faults them, too
    return False


def test_by_default_a_stranger_finds_nothing_not_even_a_socket(spaces, tmp_path):
    before = packets(spaces[1])
    with parties(spaces, tmp_path, reach="LOCALHOST", patience_s=3, memory="shared") as (host, stranger):
        assert {a.split(".")[0] for a in addresses(spaces[0])} == {LOOPBACK}, addresses(spaces[0])
        assert packets(spaces[1]) == before  # the graph runs, and says nothing on the cable
        stranger = stranger()  # that shares our memory and knows our address
        assert stranger("nodes") == []
        assert any(leaves_the_arms_alone(stranger, host, open_ports=False) for _ in range(5)), host("mode")


def test_with_the_range_subnet_a_stranger_can_do_what_everybody_can(spaces, tmp_path):
    with parties(spaces, tmp_path, reach="SUBNET", patience_s=60, memory="own") as (host, stranger):
        assert "0.0.0.0" in addresses(spaces[0])
        stranger = stranger()
        assert stranger("nodes") == ["command", "sim"]
        for order in ("sees_a_camera", "arms", "drives", "arms"):
            assert stranger(order) is True
        assert stranger("claims_an_arm") is True
        assert "/follower_left/joint_states has 2 publishers" in host("is_faulty")
        assert stranger("presses") is True
        assert host("is_stopped").startswith("the emergency stop was pressed")
        assert stranger("floods") != []


@pytest.fixture
def keystore(tmp_path):
    """Return the environment of a graph with security enforced, its keys made by SROS2's own tool."""
    from smp_bringup.security import middleware_has_security

    if shutil.which("ros2") is None or not middleware_has_security():
        pytest.skip("no `ros2 security`, or a middleware without security, as PyPI's wheels are")
    policies = map(str, sorted((ROOT / "config/security").glob("*.policy.xml")))
    command = ["ros2", "security", "generate_artifacts", "-k", str(tmp_path / "keys"), "-p", *policies]
    subprocess.run(command, check=True, env={**os.environ, "ROS_DOMAIN_ID": DOMAIN})
    asked = {"ENABLE": "true", "STRATEGY": "Enforce", "KEYSTORE": str(tmp_path / "keys")}
    return {f"ROS_SECURITY_{name}": value for name, value in asked.items()}


def test_where_security_is_enforced_keys_and_policies_say_who_may_do_what(spaces, tmp_path, keystore):
    given = {"reach": "SUBNET", "patience_s": 5, "memory": "own"}
    with parties(spaces, tmp_path, **given, **keystore) as (host, start):
        stranger = start()
        assert stranger("nodes") == []
        assert any(leaves_the_arms_alone(stranger, host, open_ports=True) for _ in range(5)), host("mode")
        friend = start(**keystore)  # with the keys of `smp top` and the like
        assert friend("nodes") == ["command", "sim"]
        assert friend("sees_a_camera") is True
        assert friend("arms") is True
        assert friend("claims_an_arm") is False
