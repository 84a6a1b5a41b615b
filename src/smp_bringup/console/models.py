"""Checkpoints for browsers: what each is, whether it fits the robot, and what two of them do over the same episode.

Trials are `smp replay` in a process of its own that runs where nothing else wants to, one at a time, and only while no
arm is armed: beside a robot that moves nothing of the machine is spare.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from smp_bringup.config import parse_json
from smp_bringup.console.library import Library
from smp_bringup.errors import BagError, SmpError, one_line
from smp_bringup.manifest import MANIFEST
from smp_bringup.paths import share
from smp_bringup.pipeline import build_policy
from smp_bringup.policy.checkpoint import CARD, METRICS, called
from smp_bringup.robot import Robot, load_robot

_LONGEST_CARD = 20_000
_MOST = 100
_LARGEST_RESULT = 1 << 20


class Models:
    """Checkpoints that are shipped, and those below a folder of runs; of one event loop."""

    def __init__(self, runs: Path, robot: str, library: Library, resting: Callable[[], bool]) -> None:
        """Begin.

        Args:
            runs: folder in which `smp train` leaves its runs.
            robot: as the user named it.
            library: of the episodes.
            resting: says whether no arm is armed now.
        """
        self._runs, self._robot, self._library, self._resting = runs.absolute(), robot, library, resting
        self._folders: dict[str, Path] = {}
        self._trial: asyncio.Task[None] | None = None
        self.trial: dict[str, Any] = {"running": False, "words": "", "rows": []}
        """What is compared now or was last, for every browser."""

    def close(self) -> None:
        """End a trial."""
        if self._trial is not None:
            self._trial.cancel()

    def entries(self) -> dict[str, Any]:
        """Return the list of checkpoints."""
        shipped = sorted(folder.parent for folder in share("models").glob(f"*/{MANIFEST}"))
        runs = sorted(
            folder.parent
            for name in ("model", "best")
            for folder in self._runs.glob(f"*/{name}/{MANIFEST}")
            if not folder.parent.is_symlink()
        )
        self._folders = {_key(folder): folder for folder in [*runs, *shipped][:_MOST]}
        named = {
            **{folder: str(folder.relative_to(self._runs.parent)) for folder in runs},
            **{folder: folder.name for folder in shipped},
        }
        listed = [{"id": key, "name": one_line(named[folder])} for key, folder in self._folders.items()]
        return {"folder": str(self._runs), "entries": listed}

    async def card(self, key: str) -> dict[str, Any]:
        """Return card, figures and fit of a checkpoint that was listed; raises BagError for another."""
        folder = self._folder(key)
        return {**await self._library.run(about, folder, self._robot), "command": self._command(folder)}

    def compare(self, episode: str, first: str, second: str) -> None:
        """Begin to replay an episode with two checkpoints; raises BagError where that may not be now."""
        bag, models = self._library.folder(episode), (self._folder(first), self._folder(second))
        if self.trial["running"]:
            raise BagError("two checkpoints are compared already: wait for them")
        if not self._resting():
            raise BagError("the arms are armed: disarm them first, a replay takes a core of this machine")
        self._trial = asyncio.create_task(self._run(bag, models))

    async def _run(self, bag: Path, models: Sequence[Path]) -> None:
        names = [self._name(model) for model in models]
        self.trial = {"running": True, "words": f"{names[0]} and {names[1]} over {bag.name}", "rows": [], "lines": 0}
        with TemporaryDirectory(prefix="smp_compare_") as scratch:
            result = Path(scratch, "result.json")
            words = ["replay", str(bag), "--model", str(models[0]), "--compare", str(models[1]), "--json", str(result)]
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "smp_bringup.cli.main",
                *words,
                "--workers",
                "1",
                "--allow-missing",
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                preexec_fn=_idle,
            )
            try:
                said = await self._follow(process)
                rows = _rows(result) if await process.wait() == 0 else []
                why = "" if rows else f": {said}"
                self.trial = {**self.trial, "running": False, "rows": rows, "names": names}
                self.trial["words"] += why
            finally:
                with suppress(ProcessLookupError):
                    process.kill()

    async def _follow(self, process: asyncio.subprocess.Process) -> str:
        """Count what a replay has done; return the last that it said."""
        last = ""
        while process.stdout is not None and (line := await process.stdout.readline()):
            last = one_line(line.decode(errors="replace").strip()) or last
            if " times real time" in last:
                self.trial = {**self.trial, "lines": self.trial["lines"] + 1}
        return last[:300]

    def _folder(self, key: str) -> Path:
        folder = self._folders.get(key)
        if folder is None or not folder.is_dir():
            raise BagError("no such checkpoint is listed: load the page again")
        return folder

    def _name(self, folder: Path) -> str:
        return one_line(folder.name if folder.parent == share("models") else folder.parent.name)

    def _command(self, folder: Path) -> str:
        from shlex import quote

        return f"smp up --robot {quote(self._robot)} --model {quote(called(folder))}"


def about(folder: Path, robot: str) -> dict[str, Any]:
    """Return the card of a checkpoint, its figures, and why it does not fit a robot, if so."""
    return {
        "card": _text(folder / CARD),
        "metrics": _metrics(folder / METRICS),
        "misfit": _misfit(folder, load_robot(robot)),
    }


def _misfit(folder: Path, robot: Robot) -> str:
    try:
        build_policy(folder, robot)
    except SmpError as error:
        return one_line(error)
    return ""


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")[:_LONGEST_CARD]
    except OSError:
        return "This checkpoint has no card."


def _metrics(file: Path) -> Mapping[str, float]:
    """Return the numbers of the training, by name."""
    try:
        told = parse_json(file.read_bytes(), file.name)
    except (OSError, SmpError):
        return {}
    return {one_line(k): v for k, v in told.items() if isinstance(v, int | float)} if isinstance(told, dict) else {}


def _rows(result: Path) -> list[dict[str, Any]]:
    """Return the figures of a comparison."""
    told = parse_json(result.read_bytes(), result.name, _LARGEST_RESULT)
    rows = told["differences"].values()
    return [{key: row[key] for key in ("name", "first", "second", "change")} for row in rows]


def _key(folder: Path) -> str:
    return sha256(os.fsencode(folder)).hexdigest()[:24]


def _idle() -> None:
    """Run only where nothing else wants to."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
