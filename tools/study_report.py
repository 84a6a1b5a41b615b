"""Prints studies as Markdown and draws them: python tools/study_report.py docs/results/v1_main.json ..."""

import json
import sys
from pathlib import Path
from typing import Any

from matplotlib import pyplot

IMAGES = Path("docs/images")


def markdown(rows: dict[str, dict[str, Any]]) -> str:
    """Return the overall table of a study, and the successes of each task."""
    lines = [
        "| row | success | 95 % | per training seed | active experts | parameters, active / all [M] | flip rate "
        "| total variation | usage entropy | collisions | jerk [rad/s^3] | time [s] | inference p50 / p99 [ms] |",
        "|" + "---|" * 13,
    ]
    for name, row in rows.items():
        every, gate, size, late = row["all"], row["gate"], row["parameters"], row["latency_ms"]
        low, high = every["interval"]
        success = f"{every['successes']}/{every['episodes']} = {every['rate']:.3f}"
        seeds = ", ".join(f"{rate:.3f}" for rate in row["training_seeds"].values())
        hits = every["collisions"]["arms"] + every["collisions"]["table"]
        lines.append(
            f"| {name} | {success} | {low:.3f} - {high:.3f} | {seeds} "
            f"| {row['active_experts']['mean']:.2f} | {size['active'] / 1e6:.2f} / {size['total'] / 1e6:.2f} "
            f"| {gate['flip_rate']:.3f} | {gate['total_variation']:.3f} | {gate['usage_entropy']:.2f} of "
            f"{gate['largest_entropy']:.2f} | {hits / every['episodes']:.2f} | {every['jerk']:.0f} "
            f"| {every['median_time_s']} | {late['p50']:.1f} / {late['p99']:.1f} |"
        )
    tasks = list(next(iter(rows.values()))["tasks"])
    lines += ["", "| row | " + " | ".join(tasks) + " |", "|" + "---|" * (len(tasks) + 1)]
    for name, row in rows.items():
        cells = [f"{row['tasks'][t]['successes']}/{row['tasks'][t]['episodes']}" for t in tasks]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def curves(rows: dict[str, dict[str, Any]]) -> dict[str, list[tuple[float, str]]]:
    """Return per name its numbers and rows, where all rows are called NAME_NUMBER with the same numbers."""
    found: dict[str, list[tuple[float, str]]] = {}
    for row in rows:
        name, _, number = row.rpartition("_")
        if not name or not number.replace(".", "", 1).isdigit():
            return {}
        found.setdefault(name, []).append((float(number), row))
    alike = len({tuple(x for x, _ in points) for points in found.values()}) == 1
    return found if alike and len(rows) > len(found) else {}


def draw(name: str, report: dict[str, Any]) -> None:
    """Draw success with its interval, each training seed as a dot, and against what differs or what is run."""
    rows = report["rows"]
    figure, (bars, curve) = pyplot.subplots(1, 2, figsize=(13, 0.9 + 0.42 * max(6, len(rows))), layout="constrained")
    for y, (label, row) in enumerate(reversed(rows.items())):
        rate, (low, high) = row["all"]["rate"], row["all"]["interval"]
        bars.barh(y, rate, color="C0", alpha=0.5, xerr=[[rate - low], [high - rate]], capsize=3)
        bars.plot(list(row["training_seeds"].values()), [y] * len(row["training_seeds"]), "k.", markersize=5)
        if curves(rows):
            continue
        run, experts = row["parameters"]["active"] / 1e6, row["active_experts"]["mean"]
        text = f"{label} ({experts:.1f})"
        mark = "osD^v"[y // 10 % 5]  # another one where the ten colours begin again
        curve.errorbar(run, rate, [[rate - low], [high - rate]], fmt=mark, capsize=3, label=text)
    bars.set_yticks(range(len(rows)), list(reversed(rows)))
    bars.set(xlabel="success, mean over tasks (dots: training seeds)", xlim=(0, 1), title=report["text"])
    for label, points in curves(rows).items():
        every = [rows[row]["all"] for _, row in points]
        low, high = zip(*((e["rate"] - e["interval"][0], e["interval"][1] - e["rate"]) for e in every), strict=True)
        curve.errorbar([x for x, _ in points], [e["rate"] for e in every], [low, high], capsize=3, label=label)
    if curves(rows):
        curve.legend()
        curve.set(xlabel=report["text"], ylabel="success", ylim=(0, 1))
    else:
        handles, labels = curve.get_legend_handles_labels()  # drawn from the last row to the first
        curve.legend(handles[::-1], labels[::-1], fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
        curve.set(xlabel="parameters run for a chunk [M]", ylabel="success", title="(mean number of active experts)")
    figure.savefig(IMAGES / f"{name}.png", dpi=90)


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        content = json.loads(path.read_text(encoding="utf-8"))
        print(f"{path.stem}: {content['text']}\n\n{markdown(content['rows'])}\n")
        draw(path.stem, content)
