"""Gates: conditions on the figures of a replay under which a checkpoint is not let near an arm."""

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smp_bringup import config
from smp_bringup.errors import ConfigError, nearest
from smp_bringup.paths import named_config

_CONDITION = re.compile(r"^\s*(?P<name>[\w/ ]+?)\s*(?P<op><=|>=|<|>)\s*(?P<limit>[-+.\deE]+)\s*$")
_OPERATORS = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True)
class Gate:
    """Fails where `name op limit` holds; a figure that is not a number fails too."""

    name: str
    op: str
    limit: float

    def __str__(self) -> str:
        return f"{self.name}{self.op}{self.limit:g}"


@dataclass(frozen=True)
class GateFile:
    """Gates as data (config/gates/*.yaml)."""

    fail_if: tuple[str, ...]


def parse_gate(text: str) -> Gate:
    """Return the gate in e.g. "joint_rmse>0.05"; raises ConfigError for anything else."""
    match = _CONDITION.match(text)
    try:
        if match is None:
            raise ValueError
        return Gate(match["name"].strip(), match["op"], float(match["limit"]))
    except ValueError:
        raise ConfigError(f"gate '{text}' must be a figure, one of < > <= >=, and a number: joint_rmse>0.05") from None


def load_gates(name: str) -> list[Gate]:
    """Return the gates `name` (in config/gates, or a path to a YAML file)."""
    return [parse_gate(text) for text in config.load(GateFile, named_config("gates", name)).fail_if]


def failing(gates: Sequence[Gate], figures: Mapping[str, float]) -> list[tuple[Gate, float]]:
    """Return the gates that fail, each with its figure.

    Raises:
        ConfigError: a gate names a figure that the replay does not have.
    """
    out = []
    for gate in gates:
        if gate.name not in figures:
            raise ConfigError(
                f"gate '{gate}': no figure '{gate.name}'{nearest(gate.name, figures)}; see --json for all"
            )
        value = figures[gate.name]
        if value != value or _OPERATORS[gate.op](value, gate.limit):
            out.append((gate, value))
    return out
