"""How much varies between episodes, and how strict success is (config/variations/*.yaml)."""

from dataclasses import dataclass, field, replace

from smp_bringup import config
from smp_bringup.config import spec
from smp_bringup.documents import shown
from smp_bringup.errors import ConfigError
from smp_bringup.paths import named_config

Range = tuple[float, float]

DEFAULT = "ordinary"
_MOST = {"_deg": (180.0, "deg"), "_s": (60.0, "s"), "speed": (10.0, "m/s"), "": (1.0, "m")}
"""By the end of a limit's name: the largest, and its unit."""
_WITHIN = {
    "hue": (-1.0, 1.0, "turns of hue"),
    "hue_left": (-1.0, 1.0, "turns of hue"),
    "hue_right": (-1.0, 1.0, "turns of hue"),
    "size": (0.1, 10.0, "of the usual size"),
    "yaw": (-6.3, 6.3, "rad"),
    "": (-3.0, 3.0, "m"),
}
"""By the end of a range's name: what no table and no thing on it leaves, and its unit."""


@dataclass(frozen=True)
class Variation:
    """What all tasks share at one level of variation; the ranges of their layouts are in the files of the tasks."""

    text: str
    spread: float = field(metadata=spec(gt=0, le=2))
    """Every range of a task but its colours is scaled so about its middle."""
    tolerance: float = field(metadata=spec(gt=0, le=2))
    """Every limit of a predicate is multiplied so; smaller is stricter."""
    second_way: float = field(metadata=spec(ge=0, le=1))
    """Share of demonstrations that solve the task the other way."""
    stagger_s: float = field(metadata=spec(ge=0, le=2, unit="s"))
    """The leading hand begins so much earlier where both hands work alike."""
    light: Range = field(metadata=spec(ge=0, le=4))
    """Uniform range of the brightness, as a share of the usual one."""
    camera: float = field(metadata=spec(ge=0, le=0.1))
    """Standard deviation of the overview camera's shift [m] and turn [rad], per axis."""
    distractors: int = field(metadata=spec(ge=0, le=8))
    """At most so many coloured things that no task needs."""
    ranges: str = ""
    """Level whose ranges of the tasks it takes; empty: its own."""
    hue: str = ""
    """Level whose ranges of colours it takes; empty: those of `ranges`."""
    size: str = ""
    """Level whose ranges of sizes it takes; empty: those of `ranges`."""
    beyond: float = field(default=0.0, metadata=spec(ge=0, le=1))
    """Every range of a place is the strip above its upper end instead, so wide as a share of it; 0: as it is."""
    background: float = field(default=0.0, metadata=spec(ge=0, le=1))
    """How far the table's colour is drawn towards any other."""

    def __post_init__(self) -> None:
        _require_rising("light", self.light)


@dataclass(frozen=True)
class TaskConfig:
    """One task as data (config/tasks/*.yaml)."""

    text: str
    """Instruction in words, recorded with every demonstration."""
    budget_s: float = field(metadata=spec(gt=0, le=120, unit="s"))
    """An episode that has not succeeded by then has failed."""
    hold_s: float = field(metadata=spec(ge=0, le=5, unit="s"))
    """The success predicate must hold for so long."""
    like: str = ""
    """Task whose limits and ranges it has, but for those that it names itself."""
    limits: dict[str, float] = field(default_factory=dict)
    """Upper bounds of the predicate by name [m, s, deg]."""
    ranges: dict[str, dict[str, Range]] = field(default_factory=dict)
    """Per variation: uniform ranges of the layout by name [m, rad, turns of hue, or a factor]."""

    def __post_init__(self) -> None:
        for name, value in self.limits.items():
            most, unit = next(bound for end, bound in _MOST.items() if name.endswith(end))
            if not 0 < value <= most:
                raise ConfigError(f"limits.{name} must be in (0, {most:g}] {unit}, got {value:g}")
        for level, ranges in self.ranges.items():
            for name, pair in ranges.items():
                where = f"ranges.{level}.{name}"
                _require_rising(where, pair)
                low, high, unit = next(bound for end, bound in _WITHIN.items() if name.endswith(end))
                if not low <= pair[0] <= pair[1] <= high:
                    raise ConfigError(f"{where} must be within [{low:g}, {high:g}] {unit}, got {list(pair)}")

    def scaled(self, name: str, variation: Variation) -> dict[str, Range]:
        """Return the ranges of the variation `name`, with its spread.

        Raises:
            ConfigError: the task has no ranges for it, or for a level that the variation names.
        """
        levels = {"": name, "hue": variation.hue or name, "size": variation.size or name}
        for level in levels.values():
            if level not in self.ranges:
                raise ConfigError(f"ranges has no variation '{level}'; it has: {', '.join(self.ranges)}")
        return {key: self._drawn(key, levels, variation) for key in self.ranges[name]}

    def _drawn(self, key: str, levels: dict[str, str], variation: Variation) -> Range:
        if "hue" in key:
            return self.ranges[levels["hue"]][key]
        if key == "size":
            return _about_middle(self.ranges[levels["size"]][key], variation.spread)
        low, high = _about_middle(self.ranges[levels[""]][key], variation.spread)
        return (high, high + variation.beyond * (high - low)) if variation.beyond else (low, high)


def load_task(name: str) -> TaskConfig:
    """Return a task of config/tasks, with what it takes from the task that it is like."""
    return _task(name, ())


def _task(name: str, before: tuple[str, ...]) -> TaskConfig:
    """Return a task; `before` are those that led to it, each like the next."""
    if name in before:
        raise ConfigError(f"task '{shown(name)}' is like itself: {shown(' is like '.join((*before, name)))}")
    task = config.load(TaskConfig, named_config("tasks", name))
    if not task.like:
        return task
    model = _task(task.like, (*before, name))
    levels = {**model.ranges, **task.ranges}
    ranges = {level: {**model.ranges.get(level, {}), **own} for level, own in levels.items()}
    return replace(task, limits={**model.limits, **task.limits}, ranges=ranges)


def load_variation(name: str) -> Variation:
    """Return a variation of config/variations."""
    return config.load(Variation, named_config("variations", name))


def _require_rising(where: str, pair: Range) -> None:
    if not pair[0] <= pair[1]:
        raise ConfigError(f"{where} must rise from its first number to its second, got {list(pair)}")


def _about_middle(pair: Range, factor: float) -> Range:
    middle, half = (pair[0] + pair[1]) / 2, (pair[1] - pair[0]) / 2
    return middle - factor * half, middle + factor * half
