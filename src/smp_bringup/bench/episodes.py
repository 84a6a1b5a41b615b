"""What is kept of an evaluated episode, and the file that makes an evaluation resumable."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from smp_bringup.errors import ConfigError, OutputError
from smp_bringup.output import why
from smp_bringup.page.pictures import film_sheet
from smp_bringup.sim.rollout import EpisodeResult

STAGES = ("encode", "route", "denoise", "decode")
"""Of one inference, as `GateReport.stage_ms` has them; a policy without experts has no route."""


@dataclass(frozen=True)
class Episode:
    """One evaluated episode, as a line of JSON."""

    task: str
    episode: int
    seed: int
    """Of the world."""
    success: bool
    time_s: float
    """When it succeeded, or its end."""
    fault: str
    arm_collisions: int
    table_collisions: int
    jerk: float
    """Root mean square over all arm joints [rad/s^3]."""
    chunks: int
    active: float
    """Mean number of active experts."""
    kept_mass: float
    """Mean share of the mass that the active experts carry."""
    flips: int
    """Chunks whose heaviest expert is another than that of the chunk before."""
    variation: float
    """Total variation of the gate summed over the chunks: half the L1 distance between consecutive gates."""
    usage: tuple[float, ...]
    """Mean gate (K,)."""
    stage_ms: dict[str, tuple[float, ...]]
    """Per stage of inference, the wall time of every chunk [ms]."""
    touched: str = ""
    """Which hand touched which object last."""
    lacks: str = ""
    """How far the scene was from what the task wants, at the end."""
    held_s: dict[str, float] = field(default_factory=dict)
    """For how long each safety check held the arms [s]."""
    film_s: tuple[float, ...] = ()
    """Time of each frame [s] of its film, where one is kept."""


def sheet_of(films: Path, task: str, episode: int) -> Path:
    """Return where the film of an episode is kept in the folder `films`: its frames below each other."""
    return films / f"{task}-{episode}.webp"


def condense(result: EpisodeResult, episode: int, films: Path | None = None) -> Episode:
    """Return what is kept of an episode; its film goes into the folder `films` if it failed, or is the first."""
    film_s: list[float] = []
    if films is not None and result.film and (episode == 0 or not result.success):
        sheet, film_s = film_sheet(result.film)
        films.mkdir(parents=True, exist_ok=True)
        sheet_of(films, result.task, episode).write_bytes(sheet)
    gates = result.gates
    weight = np.array([gate.weight for gate in gates]) if gates else np.zeros((0, 1))
    first = np.array([gate.heaviest for gate in gates])
    return Episode(
        result.task,
        episode,
        result.seed,
        result.success,
        round(result.time_s, 3),
        result.fault,
        result.arm_collisions,
        result.table_collisions,
        round(result.jerk, 3),
        len(gates),
        float(np.mean([len(gate.active) for gate in gates])) if gates else 0.0,
        float(np.mean([gate.kept_mass for gate in gates])) if gates else 0.0,
        int(np.count_nonzero(np.diff(first))),
        float(np.abs(np.diff(weight, axis=0)).sum() / 2),
        tuple(weight.mean(axis=0).round(5).tolist()) if gates else (),
        {name: tuple(round(gate.stage_ms.get(name, 0.0), 3) for gate in gates) for name in STAGES},
        result.touched,
        result.lacks,
        {name: round(held_s, 2) for name, held_s in result.held_s.items()},
        tuple(film_s),
    )


class EpisodeFile:
    """Episodes of one evaluation, appended as they finish; the same arguments find the same file again."""

    def __init__(self, folder: Path, name: str, arguments: Mapping[str, Any], resume: bool) -> None:
        """Open the file of `arguments` under `folder`; `name` begins its name, without `resume` it begins empty.

        Raises:
            ConfigError: a line that is not the last is no episode.
        """
        text = json.dumps(arguments, sort_keys=True)
        self.path = folder / f"{name}-{sha256(text.encode()).hexdigest()[:12]}.jsonl"
        self.done: dict[tuple[str, int], Episode] = {}
        self.lost: OutputError | None = None
        kept = self.path.read_bytes() if resume and self.path.exists() else b""
        if b"\n" not in kept:
            folder.mkdir(parents=True, exist_ok=True)
            self.path.write_text(text + "\n", encoding="utf-8")
            return
        *lines, cut = kept.split(b"\n")
        for number, line in enumerate(lines[1:], 2):
            try:
                episode = _episode(json.loads(line))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                raise ConfigError(f"{self.path}:{number} is no episode ({error!r}): remove the file") from None
            self.done[episode.task, episode.episode] = episode
        os.truncate(self.path, len(kept) - len(cut))  # of a process that died within a line: that episode runs again

    def append(self, episode: Episode) -> None:
        """Keep one more episode; after a write that failed the file gets no more, and `lost` says why."""
        self.done[episode.task, episode.episode] = episode
        if self.lost is not None:
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(episode)) + "\n")
        except OSError as error:
            self.lost = OutputError(f"'{self.path}' lacks the last episodes: {why(error)}: make room, and use --resume")


def _episode(data: dict[str, Any]) -> Episode:
    stages = {name: tuple(values) for name, values in data["stage_ms"].items()}
    film_s = tuple(data.get("film_s", ()))  # a file of before there were films has none
    return Episode(**{**data, "usage": tuple(data["usage"]), "stage_ms": stages, "film_s": film_s})
