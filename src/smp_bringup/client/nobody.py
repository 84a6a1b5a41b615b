"""Why no graph is heard: what was looked for, where, and what else is there."""

from collections.abc import Iterable
from pathlib import Path

from rclpy.node import Node

from smp_bringup.environment import MOST_DOMAINS, domain_id, network_reach

_TABLES = ("/proc/net/udp", "/proc/net/udp6")
_FIRST_PORT, _PORTS, _PAIRS = 7400, 250, range(10, 42, 2)
"""Of DDS: a domain has so many ports from the first on; each process listens on a pair of them, the first on these."""


def why_silent(node: Node) -> str:
    """Return in one line why a node may hear no graph in its namespace, and what to do."""
    namespace, domain = node.get_namespace(), domain_id()
    there = sorted(where for name, where in node.get_node_names_and_namespaces() if name == "command")
    said = f"no graph is heard in namespace {namespace}, ROS_DOMAIN_ID {domain}, looking at {network_reach()}"
    if there:
        return f"{said}; one runs in {', '.join(there)}: --namespace {there[0]}"
    if others := domains(_listening()) - {domain}:
        return f"{said}; on this machine ROS runs in domain {', '.join(map(str, sorted(others)))}: set ROS_DOMAIN_ID"
    return f"{said}; start one: smp up --sim; on another machine: ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET on both"


def domains(ports: Iterable[int]) -> set[int]:
    """Return the domains whose pairs of ports are among UDP ports that are listened on."""
    known = set(ports)
    pairs = (divmod(port - _FIRST_PORT, _PORTS) for port in known if port + 1 in known)
    return {domain for domain, first in pairs if 0 <= domain <= MOST_DOMAINS and first in _PAIRS}


def _listening() -> set[int]:
    rows = [
        row.split() for table in _TABLES if Path(table).exists() for row in Path(table).read_text().splitlines()[1:]
    ]
    return {int(row[1].rpartition(":")[2], 16) for row in rows}
