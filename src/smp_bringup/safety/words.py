"""What the checks of the command core mean to who stands beside the robot: what was found, and what to look at."""

from typing import NamedTuple


class Meaning(NamedTuple):
    """A check in words."""

    found: str
    look: str
    """What to look at, or do."""


_SLOW = "Look at smp top for what is late, and for what else runs on this machine."
MEANINGS: dict[str, Meaning] = {
    "finite": Meaning(
        "The source asked for something that is not a number.",
        "The model or the teleoperation is broken: replay this bag.",
    ),
    "state_finite": Meaning(
        "An arm went on reporting what is not a number.", "Look at its driver and its encoders before you reset."
    ),
    "state_fresh": Meaning(
        "An arm's measured joints stopped arriving.",
        "Look at its driver, its cable and its power; smp status says when it is back.",
    ),
    "state_jump": Meaning(
        "A measured joint jumped farther than it can move.", "Look at its encoder, its cable and its driver's rate."
    ),
    "state_near": Meaning(
        "A joint was far from where it was told to be.",
        "Was it blocked, without power, or moved by hand? Clear it, then reset.",
    ),
    "arms_follow": Meaning(
        "An arm stood still although it was told to move.",
        "Its controller refuses, or a stop of its own is pressed: look at its driver.",
    ),
    "rates_follow": Meaning("The base drove otherwise than it was told.", "Is it stuck, switched off, or pushed?"),
    "source_fresh": Meaning(
        "Whoever was followed had nothing more to say: no chunk, or no leader, in time.",
        f"Did the policy or the leader stop? {_SLOW}",
    ),
    "source_near": Meaning(
        "Whoever was followed asked for a pose far from where the arms are.",
        "Bring the leaders near, or let the policy begin anew from here.",
    ),
    "source_contract": Meaning(
        "Whoever was followed spoke of other joints, or of what is not a number.",
        "Its robot file is another one than this graph's.",
    ),
    "observation_valid": Meaning(
        "What the policy saw was not to be believed: a camera stalled, or showed one frame again and again.",
        "Look at that camera's driver and cable; the reason names it.",
    ),
    "clock_runs": Meaning("The clock of the messages stood still.", "Is the simulation paused?"),
    "position_limits": Meaning(
        "The source went on asking for what lies beyond a joint's limits.",
        "Look at the joint below: the policy or the leader leads it out of its range.",
    ),
    "workspace": Meaning(
        "A hand was about to leave its box.", "Lead it back in: that way is open. The box is in the safety settings."
    ),
    "arm_distance": Meaning(
        "Links were about to come too near to each other.", "Lead them apart: that is always allowed."
    ),
    "loop_overrun": Meaning("The command loop came too late.", f"The machine was too busy. {_SLOW}"),
    "estop_link": Meaning(
        "A button of the emergency stop fell silent.", "Look at its cable, its node and its network."
    ),
    "graph_guard": Meaning(
        "Somebody else spoke to the arms, or for them, or a driver was gone.",
        "The reason names the node: end it, or start the driver.",
    ),
    "estop": Meaning("Somebody pressed the emergency stop.", "When all is clear: release, reset, arm."),
    "": Meaning("No check of the command core stopped the arms.", "The last lines of the command node's log say more."),
}
"""By the name of the check; of the emergency stop, and of no check."""


def meaning(check: str) -> Meaning:
    """Return what a check means; of one that is not ours, its name."""
    return MEANINGS.get(check) or Meaning(f"The check {check} objected.", "Its reason says why.")
