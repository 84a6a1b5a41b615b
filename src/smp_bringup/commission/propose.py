"""A robot file proposed from a URDF, from what was seen of the running graph, and from what a user says."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from smp_bringup.commission.draft import DraftArm
from smp_bringup.commission.seen import GraphSeen, HeardJoints
from smp_bringup.commission.streams import rate_hz
from smp_bringup.description.copies import Place
from smp_bringup.description.limbs import Limb, Limbs
from smp_bringup.description.urdf import ONE_NUMBER, Urdf, UrdfJoint
from smp_bringup.errors import ConfigError, nearest, one_line
from smp_bringup.goals import ACTIONS
from smp_bringup.leader import TWISTS
from smp_bringup.record.tracks import COMMAND_KINDS

FEEDBACK = "/_action/feedback"
_BY_TOPIC = {name: kind for name, kind in COMMAND_KINDS.items() if name not in TWISTS}
_INTERFACES = ("joint_trajectory", *(name for name in _BY_TOPIC if name != "joint_trajectory"), *ACTIONS)
_OPERATOR = re.compile(r"leader|master|teleop|command", re.IGNORECASE)
"""What a topic is called that says where joints should be, not where they are."""
_BOTH, _HANDS = {"left", "right"}, {"hand", "gripper", "fingers"}
_MANY = 12
"""Hands of more joints are worth a word."""
Ask = Callable[[str, str], str]
"""Asks a question and gives a default; returns the answer."""


@dataclass(frozen=True)
class Told:
    """What a user says of the robot; what is left out is found, seen, or asked."""

    name: str = ""
    arms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Joints by entry; instead of the limbs that are found."""
    also: tuple[str, ...] = ()
    """Limbs that are driven although they are no arms."""
    copies: tuple[str, ...] = ()
    """Names of so many robots of this URDF that stand there."""
    places: Mapping[str, Place] = field(default_factory=dict)
    """Where each copy stands."""
    states: Mapping[str, str] = field(default_factory=dict)
    """Topic of joint states by entry."""
    commands: Mapping[str, str] = field(default_factory=dict)
    """INTERFACE:TOPIC by entry."""
    leaders: Mapping[str, str] = field(default_factory=dict)
    """Topic of the leader arm's joint states by entry."""


@dataclass(frozen=True)
class Offer:
    """Where setpoints can go: a topic that somebody takes, or an action that somebody serves."""

    topic: str
    interface: str
    nodes: tuple[str, ...]
    joints: frozenset[str] = frozenset()
    """That its controller says it moves; empty where it says nothing."""


def chosen_limbs(urdf: Urdf, limbs: Limbs, told: Told, ask: Ask) -> list[Limb]:
    """Return the entries of the robot file, not yet copied.

    Raises:
        ConfigError: the URDF has no such joint, or no arm.
    """
    if told.arms and told.also:
        raise ConfigError(
            f"--also {','.join(told.also)} adds to arms that are found: name all by --arm NAME=JOINT,JOINT"
        )
    if told.arms:
        return [_named(urdf, limbs, name, names) for name, names in told.arms.items()]
    arms = [limb for limb in limbs.limbs if limb.kind != "other"]
    others = {limb.name: limb for limb in limbs.limbs if limb.kind == "other"}
    also = told.also
    if others and not also:
        had = "; ".join(f"{name}: {', '.join(joint.name for joint in limb.joints)}" for name, limb in others.items())
        wanted = ask(f"Drive other limbs too? Names from ({had}), comma-separated, or none", "none")
        also = tuple(word.strip() for word in wanted.split(",") if word.strip() not in ("", "none"))
    for name in also:
        if name not in others:
            known = f"; there is {', '.join(others)}" if others else ""
            raise ConfigError(f"no other limb '{one_line(name)}' in the URDF{nearest(name, others)}{known}")
    arms += [others[name] for name in also]
    if not arms:
        joints = [joint.name for joint in urdf.joints if joint.moves]
        raise ConfigError(
            "no arm is found in the URDF, no chain of four joints that turn: name its joints, e.g. "
            f"--arm left=J1,J2; the URDF has {', '.join(joints[:40]) or 'none that moves'}"
        )
    return arms


def _named(urdf: Urdf, limbs: Limbs, name: str, names: Sequence[str]) -> Limb:
    """Return the limb that a user names; the joints of a hand are found among those of hands."""
    joints = []
    for word in names:
        joint = urdf.named.get(word)
        if joint is None:
            raise ConfigError(f"the URDF has no joint '{one_line(word)}'{nearest(word, urdf.named)}")
        if joint.mimics:
            raise ConfigError(f"joint '{one_line(word)}' mimics {one_line(joint.mimics)}: name that one")
        if joint.kind not in ONE_NUMBER:
            raise ConfigError(f"joint '{one_line(word)}' is {joint.kind}: it cannot be commanded")
        joints.append(joint)
    fingers = {joint.name for limb in limbs.limbs if limb.kind == "hand" for joint in limb.joints}
    return Limb(name, "hand" if fingers & set(names) else "arm", tuple(joints))


def propose_arms(
    limbs: Sequence[Limb], told: Told, seen: GraphSeen | None, offers: Sequence[Offer], ask: Ask
) -> list[DraftArm]:
    """Return the entries of the robot file: each with the topics that are told, seen, asked for, or usual."""
    entries = _copies(limbs, told.copies)
    known = {name for name, *_ in entries}
    for name in (*told.states, *told.commands, *told.leaders):
        if name not in known:
            raise ConfigError(f"no arm '{one_line(name)}'{nearest(name, known)}; there is {', '.join(sorted(known))}")
    matched = _match(entries, offers)
    arms = []
    for name, limb, prefix, where in entries:
        joints, left_out = _usable(limb)
        notes = [f"left out: {text}" for text in left_out]
        if len(joints) > _MANY:
            notes.append(f"{len(joints)} joints: name fewer by --arm {name}=J1,J2 if its controller takes fewer")
        state = told.states.get(name) or _state_topic(joints, where, seen)
        if not state:
            state = ask(f"Topic of the joint states of {name}", f"{where}joint_states")
            notes.append("state_topic: not seen, look whether it is this one")
        interface, topic = _command(name, told.commands.get(name, ""), matched.get(name))
        if not topic:
            topic = ask(f"Topic of the commands of {name}", _usual(name, limb, where))
            interface = ask(f"How is {name} told ({', '.join(_INTERFACES)})", "joint_trajectory")
            notes.append("command_topic: not seen, look whether it is this one, and takes command_interface")
        elif others := _others(joints, topic, where, offers):
            notes.append(f"command_topic: {', '.join(others)} moves these joints too: look which controller is active")
        leader, names, said = _leader(told.leaders.get(name, ""), joints, prefix, seen)
        hand = limb.kind == "hand"
        arms.append(DraftArm(name, joints, state, topic, interface, prefix, hand, (*notes, *said), leader, names))
    return arms


def _leader(
    topic: str, joints: Sequence[UrdfJoint], prefix: str, seen: GraphSeen | None
) -> tuple[str, dict[str, str], list[str]]:
    """Return the topic of an entry's leader arm, what that calls our joints if not as we do, and what was not seen.

    A leader arm is mostly of the follower's kind, and its driver knows nothing of the names in front of ours.
    """
    if not topic:
        return "", {}, []
    names, heard = {prefix + joint.name: joint.name for joint in joints}, set[str]()
    for message in () if seen is None else seen.heard.get(topic) or seen.heard.get(f"/{topic}", ()):
        heard |= set(message.names) if isinstance(message, HeardJoints) else set()
    if not heard:
        notes = ["leader: not seen, look whether it says these joints"]
    elif set(names) <= heard or set(names.values()) <= heard:
        notes = []
    else:
        said = ", ".join(sorted(heard)[:_MANY])
        notes = [f"leader: it says {said}: write which is which under joints: (docs/teleoperation.md)"]
    return topic, {} if not prefix or set(names) <= heard else names, notes


def _copies(limbs: Sequence[Limb], copies: Sequence[str]) -> list[tuple[str, Limb, str, str]]:
    """Return name, limb, prefix of the joints, and prefix of the topics of each entry."""
    if not copies:
        return [(limb.name, limb, "", "") for limb in limbs]
    named = []
    for copy in copies:
        for limb in limbs:
            whole = copy if limb.name == "arm" else f"{copy}_{limb.name.removeprefix('arm_')}"
            named.append((whole, limb, f"{copy}_", f"{copy}/"))
    return named


def _usable(limb: Limb) -> tuple[tuple[UrdfJoint, ...], list[str]]:
    """Return the joints of a limb that have a range, and what is left out."""
    empty = [
        joint
        for joint in limb.joints
        if (joint.lower is not None and joint.upper is not None and not joint.lower < joint.upper)
        or (joint.kind == "prismatic" and joint.lower is None)
    ]
    joints = tuple(joint for joint in limb.joints if joint not in empty)
    if not joints:
        raise ConfigError(f"no joint of {limb.name} has a range: {', '.join(joint.name for joint in empty)}")
    return joints, [f"{joint.name}, whose range in the URDF is empty" for joint in empty]


def _usual(name: str, limb: Limb, where: str) -> str:
    return f"{where}{limb.name if where else name}_controller/joint_trajectory"


def _state_topic(joints: Sequence[UrdfJoint], where: str, seen: GraphSeen | None) -> str:
    """Return the topic that was heard to say all these joints: of several, the likeliest to be measured."""
    wanted, found = {joint.name for joint in joints}, []
    for topic, heard in ({} if seen is None else seen.heard).items():
        said = [message for message in heard if isinstance(message, HeardJoints)]
        if said and any(wanted <= set(message.names) for message in said):
            inside = bool(where) and topic.strip("/").startswith(where)
            found.append((bool(where) and not inside, bool(_OPERATOR.search(topic)), len(said[-1].names), topic))
    return min(found)[-1] if found and not min(found)[0] else ""


def _others(joints: Sequence[UrdfJoint], topic: str, where: str, offers: Sequence[Offer]) -> list[str]:
    """Return where else setpoints of these joints could go, as their controllers say; a copy's are its own."""
    wanted = {joint.name for joint in joints}
    own = [offer for offer in offers if offer.topic.strip("/").startswith(where)]
    return sorted(offer.topic for offer in own if offer.topic != topic and wanted <= offer.joints)


def _command(name: str, told: str, offer: Offer | None) -> tuple[str, str]:
    """Return interface and topic that are told or seen; nothing where neither is."""
    if told:
        interface, colon, topic = told.partition(":")
        if not colon or interface not in _INTERFACES:
            raise ConfigError(
                f"--command {name}={one_line(told)}: expected INTERFACE:TOPIC, the interface one of "
                f"{', '.join(_INTERFACES)}{nearest(interface, _INTERFACES)}"
            )
        return interface, topic
    return (offer.interface, offer.topic) if offer else ("", "")


def offers_of(seen: GraphSeen, controlled: Mapping[str, Sequence[str]]) -> list[Offer]:
    """Return where setpoints can go on a graph.

    Args:
        seen: the graph.
        controlled: by node, the joints that it says it moves.
    """
    by_kind = {kind: name for name, kind in _BY_TOPIC.items()}
    offers = []
    for topic in seen.topics.values():
        nodes = tuple(sorted({end.node for end in topic.subscribers}))
        kinds = {end.kind for end in topic.subscribers} & set(by_kind)
        if kinds and not topic.publishers:
            joints = frozenset(joint for node in nodes for joint in controlled.get(node, ()))
            offers.append(Offer(topic.name, by_kind[min(kinds)], nodes, joints))
    for interface, kind in ACTIONS.items():
        for name, kinds_said in seen.published.items():
            if f"{kind}_FeedbackMessage" in kinds_said:
                action = name.removesuffix(FEEDBACK)
                node = action.rpartition("/")[0]
                offers.append(Offer(action, interface, (node,), frozenset(controlled.get(node, ()))))
    return offers


def _match(entries: Sequence[tuple[str, Limb, str, str]], offers: Sequence[Offer]) -> dict[str, Offer]:
    """Return for each entry where its setpoints go: by the joints of controllers, else by the likeness of names."""
    scores = []
    for name, limb, _, where in entries:
        joints = {joint.name for joint in limb.joints}
        for offer in offers:
            if where and not offer.topic.strip("/").startswith(where):
                continue
            if offer.joints:
                if joints <= offer.joints:
                    scores.append((2.0 - len(offer.joints - joints) / 1000, name, offer))
            elif limb.kind == "hand" or offer.interface not in ACTIONS:
                score = _likeness(name, limb, offer.topic)
                scores += [(score, name, offer)] if score > 0 else []
    matched: dict[str, Offer] = {}
    for score, name, offer in sorted(scores, key=lambda each: (-each[0], _INTERFACES.index(each[2].interface))):
        shared = score > 1  # a controller of several arms takes the commands of all
        if name not in matched and (shared or offer not in matched.values()):
            matched[name] = offer
    return matched


def _likeness(name: str, limb: Limb, topic: str) -> float:
    """Return how much a topic looks like one of a limb, from 0 to 1.

    It is 0 where no part of its name is of the limb's, where it is of the other side, or of a hand and the limb is not.
    """
    words = set(re.split(r"[^a-z0-9]+", topic.lower())) | set(re.findall(r"[a-z]+", topic.lower()))
    ours, grips = set(name.lower().split("_")), _HANDS & words
    if (_BOTH & words) != (_BOTH & ours) or bool(grips) != (limb.kind == "hand") or not (ours & words or grips):
        return 0.0
    return SequenceMatcher(None, f"/{name}_controller/joint_trajectory", topic, autojunk=False).ratio()


def rate_and_drivers(
    arms: Sequence[DraftArm], seen: GraphSeen | None, offers: Sequence[Offer]
) -> tuple[float, tuple[str, ...]]:
    """Return the rate of the joint states [Hz] and who takes commands without publishing joint states."""
    topics = {arm.state_topic for arm in arms}
    rates = [rate_hz(seen.heard[topic]) for topic in topics if seen and topic in seen.heard]
    rate = min((rate for rate in rates if rate > 0), default=100.0)
    by_topic = {offer.topic: offer for offer in offers}
    drivers: list[str] = []
    for arm in arms:
        offer = by_topic.get(arm.command_topic)
        if arm.command_interface in ACTIONS:
            continue
        if offer is None:  # as under ros2_control, where the controller's name begins its topics
            drivers += [arm.command_topic.rpartition("/")[0]] if arm.command_interface != "joint_state" else []
        elif seen is not None:
            topic = seen.topics.get(arm.state_topic)
            speak = {end.node for end in topic.publishers} if topic else set()
            drivers += [node for node in offer.nodes if node not in speak]
    return usual_rate(rate), tuple(dict.fromkeys(filter(None, drivers)))


def usual_rate(rate: float) -> float:
    """Return a rate as a person would write it."""
    usual = (1, 2, 5, 6, 10, 15, 20, 25, 30, 50, 60, 90, 100, 120, 125, 200, 250, 400, 500, 1000)
    near = min(usual, key=lambda each: abs(each - rate))
    return float(near) if abs(near - rate) <= 0.1 * near else float(f"{min(max(rate, 1.0), 2000.0):.3g}")
