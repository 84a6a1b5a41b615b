"""Whether a simulated hand can hold anything: what opens it, or could, and how far its fingers open and close."""

from smp_bringup.commission.finding import Finding, few, warning
from smp_bringup.commission.fingers import Fingers, Grip
from smp_bringup.robot import Robot
from smp_bringup.simulation import SimHand, Simulation, model_name

_ROOM_M = 0.004
"""Fingers open so much wider than what they go round, and close so much farther than what they hold."""


def check_holds(fingers: Fingers, side: str, robot: Robot, simulation: Simulation, thick_m: float) -> list[Finding]:
    """Return why a hand would hold nothing.

    Args:
        fingers: of the hand, in the compiled simulation.
        side: of the hand.
        robot: whose joints may open it.
        simulation: that says which one does.
        thick_m: of what it is to hold, across the fingers [m].
    """
    about, hand = f"simulation, hand {side}", simulation.hands[side]
    if not hand.gripper:
        return [_idle(about, fingers, robot, simulation)]
    grip = fingers.grip()
    return [] if grip is None else _span(about, hand, grip, thick_m)


def _idle(about: str, fingers: Fingers, robot: Robot, simulation: Simulation) -> Finding:
    """Return that nothing opens a hand, and which joints would."""
    called = {model_name(simulation, joint.name): joint.name for joint in robot.joints}
    behind = fingers.behind()
    ours, loose = [called[name] for name in behind if name in called], [name for name in behind if name not in called]
    said = "it names no gripper, so nothing opens it and it lifts nothing"
    anew = "then write the simulation anew (smp robot simulation FILE --force)"
    if ours:
        todo = f"write as gripper the joint that moves its fingers, of {few(ours)}, and look at fingers and tcp"
    elif loose:
        said += f", while {few(loose)} behind its arm move and are not in the robot file"
        todo = f"list in the robot file, as an entry of its own under arms, the one that opens it, {anew}"
    else:
        said += "; in its models nothing behind its arm moves"
        todo = (
            f"take a description whose fingers are no fixed joints, and have a hand's joint in the robot file, {anew}; "
            "or add a hand under parts (docs/simulation.md)"
        )
    return warning(about, said, todo)


def _span(about: str, hand: SimHand, grip: Grip, thick_m: float) -> list[Finding]:
    """Return whether fingers open too little to go round a thing, or close too little to hold it."""
    least, most = float(grip.gaps.min()), float(grip.gaps.max())
    needs, todo = f"what tasks hold is {100 * thick_m:.1f} cm thick", f"look at min and max of {hand.gripper}"
    todo += ", at at_min and at_max in the simulation, and at fingers"
    if most < thick_m + _ROOM_M:
        said = f"{hand.gripper} opens its fingers to {100 * most:.1f} cm, {needs}: they do not go round it"
        return [warning(about, said, todo)]
    if least > thick_m - _ROOM_M:
        said = f"{hand.gripper} closes its fingers to {100 * least:.1f} cm, {needs}: they do not hold it"
        return [warning(about, said, todo)]
    return []
