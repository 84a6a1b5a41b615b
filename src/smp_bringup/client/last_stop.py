"""Where the black box of a running graph keeps the last stop."""

from contextlib import suppress

from diagnostic_msgs.msg import DiagnosticArray

from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import GraphClient
from smp_bringup.nodes import qos
from smp_bringup.nodes.messages import status_values

_WAIT_S = 2.0
"""It is found at once where the command node was."""


def last_stop(client: GraphClient) -> str:
    """Return the folder of the last stop; nothing where there was none, or no black box runs."""
    if not client.count_publishers("blackbox/state"):
        return ""
    heard: dict[str, str] = {}
    client.create_subscription(
        DiagnosticArray, "blackbox/state", lambda message: heard.update(status_values(message)), qos.STATE
    )
    with suppress(GraphError):
        client.wait(lambda: bool(heard), _WAIT_S, "the black box")
    return heard.get("last", "")
