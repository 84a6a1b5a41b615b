"""Tables of studies, in Markdown: success with its intervals, differences between rows, cost and behaviour."""

from collections.abc import Iterable, Sequence
from math import sqrt
from statistics import mean, stdev
from typing import Any

Row = dict[str, Any]
"""One row of a study's JSON, as `smp bench study --json` writes it."""

T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306)
"""Student's t that 5 % of the draws exceed in size, for 1, 2, ... degrees of freedom."""
_WIDE = 10
"""So many tasks are columns at most; more are rows."""
TRAINED_BY = ("policy", "model", "preset", "set", "start", "only_router", "eyes", "train_tasks", "limit")
"""What rows that run the same trained models have in common."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def seed_rates(row: Row) -> list[float]:
    """Return the success of each training seed."""
    return list(row["training_seeds"].values())


def half_width(row: Row) -> float:
    """Return half the 95 % t interval of the mean success over training seeds."""
    rates = seed_rates(row)
    return T95[len(rates) - 2] * stdev(rates) / sqrt(len(rates))


def difference(row: Row, other: Row) -> tuple[float, float]:
    """Return by how much a row solves more than another one, and half the 95 % t interval over training seeds.

    Rows that run the same trained models are compared model by model; others are two samples of equal spread.
    """
    rates, others = seed_rates(row), seed_rates(other)
    n = len(rates)
    if all(row.get(key) == other.get(key) for key in TRAINED_BY):
        each = [a - b for a, b in zip(rates, others, strict=True)]
        return mean(each), T95[n - 2] * stdev(each) / sqrt(n)
    spread = sqrt((stdev(rates) ** 2 + stdev(others) ** 2) / n)
    return mean(rates) - mean(others), T95[2 * n - 3] * spread


def success_table(rows: dict[str, Row]) -> str:
    """Return the success of all episodes; over training seeds too, where there are several."""
    several = len(seed_rates(next(iter(rows.values())))) > 1
    header = ["row", "success", "95 % over episodes"]
    lines = []
    for name, row in rows.items():
        every = row["all"]
        low, high = every["interval"]
        line = [name, f"{every['successes']}/{every['episodes']} = {every['rate']:.3f}", f"{low:.3f} - {high:.3f}"]
        if several:
            line += [", ".join(f"{rate:.3f}" for rate in seed_rates(row)), f"± {half_width(row):.3f}"]
        lines.append(line)
    return table(header + ["each training seed", "95 % over training seeds"] * several, lines)


def difference_table(rows: dict[str, Row], pairs: Iterable[tuple[str, str]]) -> str:
    """Return by how much rows differ, with the interval over training seeds."""
    lines = []
    for name, other in pairs:
        found, half = difference(rows[name], rows[other])
        lines.append([f"{name} - {other}", f"{found:+.3f} ± {half:.3f}", "yes" if abs(found) > half else "no"])
    return table(["rows", "difference, 95 % over training seeds", "0 is outside"], lines)


def task_table(rows: dict[str, Row]) -> str:
    """Return the successes of each task."""
    tasks = list(next(iter(rows.values()))["tasks"])
    lines = [
        [name, *(f"{row['tasks'][task]['successes']}/{row['tasks'][task]['episodes']}" for task in tasks)]
        for name, row in rows.items()
    ]
    if len(tasks) > _WIDE:
        turned = zip(["task", *tasks], *lines, strict=True)
        return table(list(next(turned)), [list(line) for line in turned])
    return table(["row", *tasks], lines)


def millions(row: Row) -> str:
    """Return the parameters that run for a chunk, of all."""
    return f"{row['parameters']['active'] / 1e6:.2f} of {row['parameters']['total'] / 1e6:.2f}"


def cost_table(rows: dict[str, Row]) -> str:
    """Return what a chunk costs."""
    lines = [
        [
            name,
            f"{row['active_experts']['mean']:.2f}",
            millions(row),
            f"{row['latency_ms']['p50']:.1f} / {row['latency_ms']['p99']:.1f}",
        ]
        for name, row in rows.items()
    ]
    return table(["row", "active experts", "parameters run, of all [M]", "inference p50 / p99 [ms]"], lines)


def behaviour_table(rows: dict[str, Row]) -> str:
    """Return what the gate and the arms do."""
    lines = []
    for name, row in rows.items():
        every, gate = row["all"], row["gate"]
        hits = every["collisions"]["arms"] + every["collisions"]["table"]
        lines.append(
            [
                name,
                f"{gate['flip_rate']:.3f}",
                f"{gate['total_variation']:.3f}",
                f"{gate['usage_entropy']:.2f} of {gate['largest_entropy']:.2f}",
                f"{hits / every['episodes']:.2f}",
                f"{every['jerk']:.0f}",
                "-" if every["median_time_s"] is None else f"{every['median_time_s']:.2f}",
            ]
        )
    header = ["flip rate", "total variation", "usage entropy", "collisions", "jerk [rad/s^3]", "time [s]"]
    return table(["row", *header], lines)
