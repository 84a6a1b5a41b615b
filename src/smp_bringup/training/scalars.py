"""What a run says of itself: TensorBoard scalars and gate pictures, and the same losses as JSON lines."""

import json
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from tensorboardX import SummaryWriter

LOSSES = "losses.jsonl"
_PICTURE_ROWS = 8
"""Pixels per expert in a gate picture."""


class Scalars:
    """Writes into a run's folder; silent in all but the first of several processes."""

    def __init__(self, folder: Path, first: bool) -> None:
        self._folder = folder
        self._writer = SummaryWriter(str(folder / "tensorboard")) if first else None

    def __enter__(self) -> "Scalars":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def losses(self, step: int, means: dict[str, float]) -> None:
        """Write the mean losses since the last call."""
        if self._writer is None:
            return
        with (self._folder / LOSSES).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **means}) + "\n")
        for name, value in means.items():
            self._writer.add_scalar(f"loss/{name}", value, step)

    def gate(self, step: int, gate: np.ndarray | None) -> None:
        """Write a gate (N, K) over consecutive frames as a picture, one band an expert, and its sparsity."""
        if self._writer is None or gate is None:
            return
        entropy = -(gate * np.log(gate + 1e-9)).sum(1).mean()
        self._writer.add_scalar("gate/entropy", entropy, step)
        self._writer.add_scalar("gate/largest", gate.max(1).mean(), step)
        picture = np.repeat(gate.T, _PICTURE_ROWS, axis=0)
        self._writer.add_image("gate/held_out", picture[None], step)


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of JSON lines by step, the last of each; a line that a kill cut short is left out.

    A training that is resumed from an earlier state does some steps again: what it said of later ones is left out.
    """
    rows: dict[int, dict[str, Any]] = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            row = json.loads(line)
            step = int(row["step"])
            rows = {known: kept for known, kept in rows.items() if known < step}
            rows[step] = row
    return list(rows.values())
