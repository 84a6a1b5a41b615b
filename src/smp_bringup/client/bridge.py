"""The graph's topics for Foxglove: a websocket server that hears a topic while somebody looks at it, and only speaks.

Messages pass as they are, in ROS 2's CDR, with the text of their definition: nothing is decoded here. The server takes
no message, no parameter and no service call from its clients.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address
from threading import Lock

from rclpy.qos import DurabilityPolicy
from rclpy.subscription import Subscription

from smp_bringup.bag.messages import definition
from smp_bringup.client.answers import WHERE
from smp_bringup.client.graph_client import GraphClient, graph_client
from smp_bringup.errors import ConfigError, InstallError, one_line
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns, steady_ns
from smp_bringup.nodes.matched import topics_with
from smp_bringup.nodes.messages import message_type
from smp_bringup.types import NS_PER_S

try:
    from foxglove import Channel, Context, Schema, start_server
    from foxglove.websocket import ChannelView, Client, ServerListener, WebSocketServer
except ModuleNotFoundError as error:
    raise InstallError(
        f"foxglove-sdk is not installed ({error}), and the bridge needs it: "
        "run make setup, or pip install 'smp_bringup[bridge]'"
    ) from error

_BACKLOG = 256
"""Messages that wait for a slow client; then the oldest are dropped, and the graph does not notice."""
_PATIENCE_NS = 5 * NS_PER_S
"""A graph that is not heard for so long after the start is missed."""
_SHARED = ("/diagnostics", "/tf", "/tf_static", "/rosout", "/clock")
"""Topics of every graph, in whatever namespace."""


class Bridge(ServerListener):
    """Channels of the topics that somebody publishes, and subscriptions to those that somebody looks at."""

    def __init__(self, client: GraphClient, host: str, port: int) -> None:
        """Begin to serve.

        Args:
            client: of the graph, in its namespace; its topics are named as in the root namespace, as in bags.
            host: address to listen on.
            port: to listen on, or 0 for any.

        Raises:
            ConfigError: nothing can listen there.
        """
        self._client, self._namespace = client, client.get_namespace().rstrip("/")
        self._context, self._lock = Context(), Lock()
        self._channels: dict[str, tuple[Channel, str]] = {}
        self._heard: dict[str, Subscription] = {}
        self._looked_at: Counter[str] = Counter()
        self._joined: set[str] = set()
        """Topics that one more client looks at since the last turn."""
        self._left_out: dict[str, str] = {}
        self._server = _listen(host, port, self, self._context)

    @property
    def port(self) -> int:
        """Where the server listens."""
        return int(self._server.port)

    def close(self) -> None:
        """Serve no longer."""
        self._server.stop()

    def on_subscribe(self, client: Client, channel: ChannelView) -> None:
        """As of ServerListener, in a thread of the server."""
        with self._lock:
            self._looked_at[channel.topic] += 1
            self._joined.add(channel.topic)

    def on_unsubscribe(self, client: Client, channel: ChannelView) -> None:
        """As of ServerListener, in a thread of the server."""
        with self._lock:
            self._looked_at[channel.topic] -= 1

    def look(self) -> list[str]:
        """See which topics the graph has; return one line for each that cannot be shown, and has not been named yet."""
        found = {shown: (topic, kinds) for topic, kinds in self._published().items() if (shown := self._shown(topic))}
        for shown, (_, kind) in tuple(self._channels.items()):
            if found.get(shown, ("", ()))[1] != (kind,):
                self._channels.pop(shown)[0].close()
        left_out = {}
        for shown, (topic, kinds) in found.items():
            try:
                self._offer(shown, topic, kinds)
            except ConfigError as error:
                left_out[shown] = one_line(error)
        new = [f"not shown: {text}" for shown, text in sorted(left_out.items()) if shown not in self._left_out]
        self._left_out = left_out
        return new

    def turn(self) -> None:
        """Hear what is looked at, and nothing else."""
        with self._lock:
            wanted = {topic for topic, count in self._looked_at.items() if count > 0} & set(self._channels)
            joined, self._joined = self._joined, set()
        for shown in set(self._heard) - wanted | {topic for topic in joined & set(self._heard) if self._latched(topic)}:
            self._client.destroy_subscription(self._heard.pop(shown))
        for shown in wanted - set(self._heard):
            self._heard[shown] = self._hear(shown)

    def _published(self) -> dict[str, tuple[str, ...]]:
        return topics_with(self._client, self._client.count_publishers)

    def _shown(self, topic: str) -> str:
        """Return the name of a topic as in the root namespace; nothing for one of another graph."""
        if topic in _SHARED or not self._namespace:
            return topic
        return topic.removeprefix(self._namespace) if topic.startswith(f"{self._namespace}/") else ""

    def _full(self, shown: str) -> str:
        return shown if shown in _SHARED else self._namespace + shown

    def _offer(self, shown: str, topic: str, kinds: tuple[str, ...]) -> None:
        if shown in self._channels:
            return
        if len(kinds) > 1:
            raise ConfigError(f"topic {topic}: it is published as {', '.join(kinds)}; let one of them stop")
        (kind,) = kinds
        message_type(topic, kind)
        schema = Schema(name=kind, encoding="ros2msg", data=definition(kind)[0].encode())
        channel = Channel(shown, schema=schema, message_encoding="cdr", context=self._context)
        self._channels[shown] = channel, kind

    def _latched(self, shown: str) -> bool:
        """Return whether the publishers of a topic keep their last message for who comes later."""
        infos = self._client.get_publishers_info_by_topic(self._full(shown))
        return bool(infos) and all(info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for info in infos)

    def _hear(self, shown: str) -> Subscription:
        """Hear a topic, best effort unless it is latched: no publisher waits for who looks."""
        channel, kind = self._channels[shown]
        profile = qos.LATCHED if self._latched(shown) else qos.SENSOR
        topic = self._full(shown)
        return self._client.create_subscription(
            message_type(topic, kind), topic, partial(self._pass, channel), profile, raw=True
        )

    def _pass(self, channel: Channel, cdr: bytes) -> None:
        channel.log(cdr, log_time=now_ns(self._client))


def _listen(host: str, port: int, listener: ServerListener, context: Context) -> WebSocketServer:
    try:
        return start_server(
            name="smp_bringup",
            host=host,
            port=port,
            capabilities=[],
            server_listener=listener,
            context=context,
            message_backlog_size=_BACKLOG,
        )
    except Exception as error:
        raise ConfigError(
            f"nothing can listen on port {port} of {host} ({one_line(error)}): end what does, or take another --port"
        ) from None


def check_address(host: str) -> bool:
    """Return whether an address can be reached from this machine alone.

    Raises:
        ConfigError: it is none.
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        raise ConfigError(
            f"--bind '{one_line(host[:100])}' must be an address of this machine, e.g. 127.0.0.1, or 0.0.0.0 for all"
        ) from None


def served(host: str, port: int, namespace: str) -> Iterator[str]:
    """Serve the graph in `namespace` until interrupted; yield what there is to say.

    Raises:
        ConfigError: nothing can listen there, or ROS could not have that namespace.
    """
    if not check_address(host):
        yield (
            f"whoever reaches {host} sees every camera, joint and state of this graph, without a password and "
            "unencrypted; nobody can command it from there"
        )
    with graph_client("smp_bridge", namespace) as client:
        bridge = Bridge(client, host, port)
        try:
            where = f"[{host}]" if ":" in host else host
            yield f"open ws://{where}:{bridge.port} in Foxglove (Open connection, Foxglove WebSocket); end with Ctrl-C"
            due, late, missed = 0, steady_ns() + _PATIENCE_NS, False
            while True:
                if (now := steady_ns()) >= due:
                    yield from bridge.look()
                    due = now + NS_PER_S
                if now >= late and not (missed or client.command_state):
                    missed = True
                    yield f"no graph is heard yet: {WHERE}"
                bridge.turn()
                client.spin(0.05)
        finally:
            bridge.close()
