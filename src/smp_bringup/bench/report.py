"""The pages of `smp demo` and `smp eval`: counts, what went wrong, films, the gate in words, and what to do next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from smp_bringup.bench.episodes import Episode, sheet_of
from smp_bringup.page.facts import interval_words
from smp_bringup.page.parts import Card, Command, Figure, Page, Part, Section, Table, Words
from smp_bringup.page.pictures import COUNT_WORDS, GATE_WORDS, colour, film, film_sheet, gate_figure, subplots, svg
from smp_bringup.tasks.variation import load_task
from smp_bringup.types import ImageArray

_FAILURES_SHOWN = 2
"""Failed episodes of a task that get a film; all others stand in a table."""


@dataclass
class Film:
    """What one episode looked like."""

    task: str
    seed: int
    success: bool
    time_s: float
    frames: list[tuple[float, ImageArray]] = field(default_factory=list)
    """Time [s] and overview image (H, W, 3), in order."""
    gate_time_s: list[float] = field(default_factory=list)
    gate: list[list[float]] = field(default_factory=list)
    """K weights at each chunk."""
    active: list[int] = field(default_factory=list)
    account: list[str] = field(default_factory=list)
    """What went wrong, in words; empty for a success."""


def demo_page(
    title: str,
    told: Sequence[tuple[str, str]],
    tables: Sequence[Table],
    films: Sequence[Film],
    remark: str,
    next_steps: Sequence[Command],
) -> Page:
    """Return the page of a demo.

    Args:
        title: headline.
        told: facts of the run.
        tables: figures; the first is that of the tasks.
        films: one per episode.
        remark: of the model card, or empty.
        next_steps: what to try.
    """
    done = sum(film.success for film in films)
    how = [Words([f"How to read the gate: {GATE_WORDS} {COUNT_WORDS}"])] if any(film.gate for film in films) else []
    lead = f"{done} of {len(films)} episodes succeeded, in real time through the running graph."
    return Page(
        title,
        lead,
        told,
        [
            Section("Tasks", [tables[0], *([Words([remark])] if remark else [])]),
            Section("Episodes", [*how, *(_live_card(film) for film in films)]),
            Section("Figures of the graph", tables[1:]),
            Section("Next", next_steps),
        ],
    )


def eval_page(
    title: str,
    told: Sequence[tuple[str, str]],
    report: Mapping[str, Any],
    episodes: Sequence[Episode],
    films: Path,
    next_steps: Sequence[Command],
) -> Page:
    """Return the page of an evaluation.

    Args:
        title: headline.
        told: facts of the run.
        report: as `bench.evaluate.summary` gives it.
        episodes: all of them.
        films: folder of the films, see `bench.episodes.sheet_of`.
        next_steps: what to try.
    """
    every, names = report["all"], list(report["tasks"])
    lead = f"{every['successes']} of {every['episodes']} episodes succeeded, in lockstep on layouts never trained on."
    cards: list[Part | Card] = []
    for name in names:
        mine = [e for e in episodes if e.task == name]
        failed = [e for e in mine if not e.success]
        shown = [e for e in mine if e.success and e.film_s][:1] + failed[:_FAILURES_SHOWN]
        cards += [_card(e, films) for e in shown]
    failed = [e for e in episodes if not e.success]
    rows = [(e.task, e.episode, _end(e), e.touched, e.lacks, _checks(e.held_s) or "none held") for e in failed]
    wrong = Table(("task", "episode", "ended by", "contact", "at the end", "safety"), rows, "Every failed episode")
    return Page(
        title,
        lead,
        told,
        [
            Section("Tasks", [_eval_table(report)]),
            Section("What went wrong", [wrong] if rows else [Words(["No episode failed."])]),
            Section("Episodes", cards),
            Section("Which experts each task uses", [usage_figure({n: _usage(episodes, n) for n in names})]),
            Section("Next", next_steps),
        ],
    )


def usage_figure(usage: Mapping[str, np.ndarray]) -> Figure:
    """Return mean gates (K,) by name, one stacked bar each, as a figure that explains itself."""
    figure, axis = subplots(height_in=0.7 + 0.22 * len(usage))
    names = list(usage)[::-1]
    left = np.zeros(len(names))
    experts = max(len(mean) for mean in usage.values())
    for k in range(experts):
        width = np.array([usage[name][k] if k < len(usage[name]) else 0.0 for name in names])
        axis.barh([name.replace("_", " ") for name in names], width, left=left, color=colour(k), alpha=0.85)
        left += width
    axis.set(xlim=(0, 1), xlabel="share of the weight, mean over all chunks")
    legend = [(colour(k), f"expert {k}") for k in range(experts)]
    return Figure(svg(figure, "share of each expert by task"), GATE_WORDS, legend)


def _live_card(told: Film) -> Card:
    word = f"success after {told.time_s:.1f} s" if told.success else f"failure after {told.time_s:.1f} s"
    parts: list[Part] = [Words([_instruction(told.task)]), *([Words(told.account)] if told.account else [])]
    if told.frames:
        parts.append(film(*film_sheet(told.frames), f"{told.task.replace('_', ' ')}, seed {told.seed}"))
    if told.gate:
        parts.append(gate_figure(told.gate_time_s, np.array(told.gate), told.active))
    return Card(f"{told.task}, seed {told.seed}", "yes" if told.success else "no", word, parts)


def _card(episode: Episode, films: Path) -> Card:
    parts: list[Part] = [Words([_instruction(episode.task)])]
    if not episode.success:
        held = _checks(episode.held_s)
        parts.append(Words([f"ended by {_end(episode)}", episode.touched, episode.lacks, held]))
    sheet = sheet_of(films, episode.task, episode.episode)
    if episode.film_s and sheet.is_file():
        text = f"{episode.task.replace('_', ' ')}, episode {episode.episode}"
        parts.append(film(sheet.read_bytes(), episode.film_s, text))
    word = f"success after {episode.time_s:.1f} s" if episode.success else f"failure after {episode.time_s:.1f} s"
    told = [part if not isinstance(part, Words) else Words([line for line in part.lines if line]) for part in parts]
    return Card(f"{episode.task}, episode {episode.episode}", "yes" if episode.success else "no", word, told)


def _instruction(task: str) -> str:
    return f"Told to: {load_task(task).text}"


def _end(episode: Episode) -> str:
    if episode.fault:
        return f"a fault: {episode.fault}"
    return f"its time budget of {load_task(episode.task).budget_s:g} s"


def _checks(held_s: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} held the arms for {s:.2f} s" for name, s in held_s.items())


def _usage(episodes: Sequence[Episode], task: str) -> np.ndarray:
    seen = [e for e in episodes if e.task == task and e.chunks]
    return np.average([e.usage for e in seen], axis=0, weights=[e.chunks for e in seen]) if seen else np.ones(1)


def _eval_table(report: Mapping[str, Any]) -> Table:
    rows = []
    for name, row in {**report["tasks"], "all": report["all"]}.items():
        hits = row["collisions"]
        interval = interval_words(row["interval"], row["episodes"])
        share, time_s = f"{row['successes']}/{row['episodes']}", row["median_time_s"] or "-"
        rows.append((name, share, interval, time_s, f"{hits['arms']} / {hits['table']}", f"{row['jerk']:.0f}"))
    header = ("task", "success", "95 % interval", "time [s]", "collisions", "jerk [rad/s^3]")
    return Table(header, rows, "time: median of the successes; collisions: between the arms / with the table")
