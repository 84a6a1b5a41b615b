"""What may be asked of the command node and the recorder: by verbs, keys, and the buttons of `smp console`."""

from typing import NamedTuple


class Request(NamedTuple):
    """One request to a service of the command node."""

    service: str
    """Under command/."""
    value: bool | None
    """What a SetBool is called with; None: a Trigger."""
    text: str
    """What it does, for who asks."""


STOP = "estop"
REQUESTS: dict[str, Request] = {
    "arm": Request("arm", None, "Arm: hold the arms where they are, until a source is followed."),
    "disarm": Request("disarm", None, "Bring the arms to rest and command nothing more."),
    "hold": Request("hold", None, "Follow nobody any more: the arms come to rest, armed, and stay there."),
    "policy": Request("use_policy", None, "Follow the policy; armed arms only."),
    "teleop": Request("use_teleop", None, "Follow the leader arms; armed arms only."),
    "release": Request("estop", False, "Release the emergency stop; the arms stay stopped until a reset."),
    "reset": Request("reset", None, "Leave a latched stop, once its causes are gone; ends disarmed."),
}
"""By verb; the emergency stop is not among them, since nothing of theirs may keep it waiting."""
STOP_REQUEST = Request("estop", True, "Stop both arms now and latch: release, then reset leave it.")


class Step(NamedTuple):
    """One call of a service of the graph."""

    service: str
    value: bool | None = None
    """What a SetBool is called with; None: a Trigger."""


_RECORDER_STOP = Step("recorder/stop")
RECORDING: dict[str, tuple[Step, ...]] = {
    "start": (Step("recorder/start"),),
    "success": (Step("recorder/success", True), _RECORDER_STOP),
    "failure": (Step("recorder/success", False), _RECORDER_STOP),
    "stop": (_RECORDER_STOP,),
    "discard": (Step("recorder/discard"),),
    "next": (Step("recorder/next"),),
}
"""What may be asked of the recorder: the steps of each request, which end with the first that is refused."""
OPERATE = (Step("sim/operate"),)
"""Lets the scripted operator of the simulation work."""
