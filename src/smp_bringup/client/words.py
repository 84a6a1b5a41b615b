"""What the page says in sentences: modes, the gate, what is recorded. Values as text, as the nodes say them."""

from collections.abc import Mapping

from smp_bringup.errors import one_line

_MODES = {
    "disarmed": "Disarmed: nothing is commanded.",
    "hold": "Armed: the arms hold still and follow nobody.",
    "policy": "The arms follow the policy.",
    "teleop": "The arms follow the leader arms.",
    "fault": "Stopped after a fault, until it is reset.",
    "estop": "Emergency stop: release it, then reset.",
}
_MOST_NAMED = 4
"""Experts that the sentence on the gate names."""


def mode_words(mode: str) -> str:
    """Return what a mode of the command node means."""
    return _MODES.get(mode, mode)


def gate(values: Mapping[str, float]) -> dict[str, object]:
    """Return weights and active experts of a gate report as `nodes.messages.gate_msg` labels it, and a sentence."""
    weights = [value for name, value in values.items() if name.startswith("weight/")]
    active = [k for k in range(len(weights)) if values.get(f"active/{k}")]
    return {
        "weights": [round(weight, 3) for weight in weights],
        "active": active,
        "words": _gate_words(weights, active, values.get("kept_mass", 0.0)),
    }


def _gate_words(weights: list[float], active: list[int], kept: float) -> str:
    if not weights:
        return "This policy has no experts to choose from."
    if not active:
        return f"None of {len(weights)} experts runs now: the policy does without them."
    first = sorted(active, key=lambda k: -weights[k])
    named = ", ".join(f"{k} ({weights[k]:.0%})" for k in first[:_MOST_NAMED])
    more = f" and {len(first) - _MOST_NAMED} more" if len(first) > _MOST_NAMED else ""
    runs = "runs" if len(active) == 1 else "run"
    return (
        f"{len(active)} of {len(weights)} experts {runs}: {named}{more}. The gate weighs the experts by what is seen; "
        f"those that run carry {kept:.0%} of its mass, the others are left out to save time."
    )


def recording(values: Mapping[str, str] | None) -> dict[str, object]:
    """Return whether the recorder records, and what, "short" without what was before; of nothing: none is heard."""
    if values is None:
        none = "Nothing is recorded: no recorder runs here (smp up --record FOLDER starts one)."
        return {"on": False, "words": none, "short": none}
    task = values.get("task") or "no task"
    warning = f" Warning: {values['warning']}." if values.get("warning") else ""
    if values.get("recording") == "True":
        seconds, messages = values.get("seconds", "0"), values.get("messages", "0")
        now = f"Records {task}: {seconds} s, {messages} messages.{warning}"
        return {"on": True, "words": now, "short": now}
    said = f" Last: {values['said']}." if values.get("said") else ""
    waits = f"The recorder waits; next: {task}."
    return {"on": False, "words": f"{waits}{said}{warning}", "short": f"{waits}{warning}"}


def simulated(values: Mapping[str, str]) -> str:
    """Return what a simulated robot's task is about, how far it is, and whether the scripted operator is through."""
    done = "done" if values.get("success") == "1" else "not done yet"
    if done != "done" and values.get("operator") == "finished":
        done = "not done, and the operator has finished: discard the episode, and begin with a new layout"
    return one_line(f"{values.get('task', 'a task')}, {values.get('time_s', '0')} s, {done}")
