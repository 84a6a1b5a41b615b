"""Who may say and hear what: the SROS2 policy of every node of the graph, made from the robot's topics.

`smp security` writes them; a test holds them to what the running nodes really do.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from xml.sax.saxutils import escape

from smp_bringup.arm import Arm
from smp_bringup.graph import MANAGED
from smp_bringup.names import CLIENT, enclave, full_name
from smp_bringup.robot import Robot

_RULES = (
    *(("topic", "publish"), ("topic", "subscribe")),
    *(("service", "reply"), ("service", "request")),
    ("action", "call"),
)
_OWN_SERVICES = (
    *("describe_parameters", "get_parameter_types", "get_parameters", "list_parameters"),
    *("set_parameters", "set_parameters_atomically", "get_type_description"),
)
_LIFECYCLE = ("change_state", "get_state", "get_available_states", "get_available_transitions", "get_transition_graph")
_REQUESTS = tuple(f"command/{name}" for name in ("arm", "disarm", "hold", "reset", "use_policy", "use_teleop", "estop"))
_RECORDER = tuple(f"recorder/{name}" for name in ("start", "stop", "discard", "next", "success"))
_SIM = ("sim/reset", "sim/operate")
_SAID = (
    *(f"{name}/state" for name in ("command", "observation", "sim", "recorder", "replay", "blackbox")),
    "/diagnostics",
)


@dataclass(frozen=True)
class Access:
    """Topics, services and actions that one node uses, besides what every node of rclpy has."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    reply: tuple[str, ...] = ()
    request: tuple[str, ...] = ()
    call: tuple[str, ...] = ()
    """Actions."""


def accesses(robot: Robot, namespace: str = "/") -> dict[str, Access]:
    """Return what every node of a graph in `namespace` may do, in which the robot was loaded, and what clients may."""
    cameras = tuple(camera.topic for camera in robot.cameras)
    calibrations = tuple(dict.fromkeys(camera.info_topic for camera in robot.cameras))
    states, leaders = (tuple(joints.topic for joints in each) for each in (robot.state_topics, robot.leader_topics))
    vectors = tuple(topic for topic in robot.vector_topics if topic not in states)
    further = (*(recorded.topic for recorded in robot.recorded), *vectors)
    hands = tuple(topic for arm in robot.arms for topic in _hand_topics(arm))
    commands = tuple(joints.topic for joints in robot.command_topics)
    replayed = tuple(f"/replay{topic}" for topic in commands)
    seen = (*(f"observation/{camera.name}" for camera in robot.cameras), "observation/joint_states")
    seen += ("observation/vectors",) if robot.vectors else ()
    policy = ("policy/chunk", "policy/gate", "policy/task")
    nodes = {
        "sim": Access(
            (*cameras, *states, *leaders, "sim/objects", "sim/state", "/clock")
            + (("teleop/command",) if robot.is_led_by_none else ()),
            commands,
            _SIM,
        ),
        "sync": Access((*seen, "observation/state"), (*cameras, *states, *vectors, "/clock")),
        "policy": Access(policy, (*seen, "command/state", "/clock")),
        "command": Access(
            (*commands, *replayed, "command/state"),
            (*states, "policy/chunk", "observation/state", "teleop/command", "estop", "/clock"),
            _REQUESTS,
            call=tuple(action.topic for action in robot.command_actions),
        ),
        "teleop": Access(
            ("teleop/command",),
            leaders if robot.has_leader_arms else (*leaders, *hands, *states, *commands, "command/state"),
        ),
        "recorder": Access(
            ("recorder/state",),
            (*cameras, *calibrations, *further, *states, *leaders, *hands, *commands, "teleop/command", "sim/objects")
            + (*policy, "command/state", "recorder/pedal"),
            _RECORDER,
        ),
    }
    nodes["blackbox"] = Access(("blackbox/state",), nodes["recorder"].subscribe[:-1])  # all but the pedal
    shown = ("robot_description", "/tf", "/tf_static")
    nodes["description"] = Access(shown, (*states, *commands, "/tf", "/clock"))
    nodes = {name: _with_own(name, access) for name, access in nodes.items()}
    nodes["replay"] = _with_own(
        "replay",
        Access(
            (*cameras, *calibrations, *states, *vectors, *leaders, "/clock", "replay/state"),
            ("policy/chunk", "command/state", *replayed),
            request=tuple(f"command/{name}" for name in ("reset", "arm", "use_policy")),
        ),
        diagnosed=False,
    )
    set_parameters = tuple(f"{name}/set_parameters" for name in ("sim", "recorder", "policy"))
    managed = tuple(f"{name}/{service}" for name in MANAGED for service in _LIFECYCLE)
    nodes[CLIENT] = Access(
        ("/rosout", "/parameter_events"),
        (*_SAID, *cameras, *further, *states, *leaders, *hands, *commands, *seen, *policy, *shown),
        _own_services("/_ros2cli_*"),
        request=(*_REQUESTS, *_RECORDER, *_SIM, *set_parameters, *managed),
    )
    return {name: _in_namespace(access, namespace) for name, access in nodes.items()}


def _hand_topics(arm: Arm) -> tuple[str, ...]:
    """Return the topics of an operator's hand that leads an arm, or drives a base."""
    leader = arm.led_by
    if leader is None or leader.is_arm:
        return ()
    return (leader.topic, leader.buttons.topic) if leader.buttons else (leader.topic,)


def policy_xml(name: str, access: Access, namespace: str = "/") -> str:
    """Return the SROS2 policy (version 0.2.0) of a node's enclave: what it does not name is denied."""
    return "\n".join((*_lines(name, access, namespace), ""))


def _lines(name: str, access: Access, namespace: str) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield "<!-- Written by `smp security`. -->"
    yield '<policy version="0.2.0">'
    yield "  <enclaves>"
    yield f'    <enclave path="{enclave(full_name(name, namespace))}">'
    yield "      <profiles>"
    yield f'        <profile ns="{namespace}" node="{name}">'
    for kind, rule in _RULES:
        if names := getattr(access, rule):
            yield f'          <{kind}s {rule}="ALLOW">'
            yield from (f"            <{kind}>{escape(one)}</{kind}>" for one in sorted(names))
            yield f"          </{kind}s>"
    yield "        </profile>"
    yield "      </profiles>"
    yield "    </enclave>"
    yield "  </enclaves>"
    yield "</policy>"


def _with_own(name: str, access: Access, diagnosed: bool = True) -> Access:
    """Add what every node has: its log, its parameters and their services, and counters if it is `diagnosed`."""
    says = ("/rosout", "/parameter_events", *(("/diagnostics",) if diagnosed else ()))
    serves = _own_services(name)
    if name in MANAGED:
        says += (f"{name}/transition_event",)
        serves += tuple(f"{name}/{service}" for service in _LIFECYCLE)
    return replace(access, publish=(*says, *access.publish), reply=(*serves, *access.reply))


def _own_services(node: str) -> tuple[str, ...]:
    return tuple(f"{node}/{service}" for service in _OWN_SERVICES)


def _in_namespace(access: Access, namespace: str) -> Access:
    rules = (access.publish, access.subscribe, access.reply, access.request, access.call)
    return Access(*(tuple(full_name(name, namespace) for name in names) for names in rules))
