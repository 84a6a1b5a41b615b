"""Acceptance criteria: conditions on the figures of a replay under which a checkpoint is not let near an arm."""

import math
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smp_bringup import config
from smp_bringup.documents import shown
from smp_bringup.errors import ConfigError, nearest
from smp_bringup.paths import named_config
from smp_bringup.replay.families import FAMILIES, family_of

_CONDITION = re.compile(r"^\s*(?P<name>[\w/ ]+?)\s*(?P<op><=|>=|<|>)\s*(?P<limit>[-+.\deE]+)\s*$")
_OPERATORS = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True)
class Criterion:
    """Fails where `name op limit` holds; a figure that is not a number fails too."""

    name: str
    op: str
    limit: float

    def __str__(self) -> str:
        return f"{self.name}{self.op}{self.limit:g}"


@dataclass(frozen=True)
class CriteriaFile:
    """Acceptance criteria as data (config/criteria/*.yaml)."""

    fail_if: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.fail_if:
            raise ConfigError("fail_if: none is listed, so every policy would pass: list those of config/criteria")


def parse_criterion(text: str) -> Criterion:
    """Return the criterion in e.g. "joint_rmse>0.05"; raises ConfigError for anything else."""
    match = _CONDITION.match(text)
    try:
        limit = float(match["limit"]) if match else math.nan
        if match is None or not math.isfinite(limit):  # 1e999 is infinite: nothing would ever fail
            raise ValueError
        return Criterion(match["name"].strip(), match["op"], limit)
    except ValueError:
        raise ConfigError(
            f"criterion '{shown(text)}' must be a figure, one of < > <= >=, and a number: joint_rmse>0.05"
        ) from None


def load_criteria(name: str) -> list[Criterion]:
    """Return the criteria `name` (in config/criteria, or a path to a YAML file)."""
    return [parse_criterion(text) for text in config.load(CriteriaFile, named_config("criteria", name)).fail_if]


def unjudged(criterion: Criterion, figures: Mapping[str, float]) -> str:
    """Return why a criterion says nothing here: what joint the robot has none of; nothing where it must hold."""
    asked = family_of(criterion.name)
    known = [name for name in FAMILIES if f"{name}_rmse" in figures]  # none: there is no demonstration to compare with
    return f"no joint of the robot is {FAMILIES[asked]}" if asked and known and asked not in known else ""


def failing(criteria: Sequence[Criterion], figures: Mapping[str, float]) -> list[tuple[Criterion, float]]:
    """Return the criteria that fail, each with its figure; what the robot has no joint for is not judged.

    Raises:
        ConfigError: a criterion names a figure that the replay does not have.
    """
    out = []
    for criterion in criteria:
        if unjudged(criterion, figures):
            continue
        if criterion.name not in figures:
            raise ConfigError(
                f"criterion '{criterion}': no figure '{criterion.name}'{nearest(criterion.name, figures)}; "
                "see --json for all"
            )
        value = figures[criterion.name]
        if value != value or _OPERATORS[criterion.op](value, criterion.limit):
            out.append((criterion, value))
    return out
