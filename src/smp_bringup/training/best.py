"""The weights of a training that came nearest to the operator in held-out demonstrations, in a file of their own."""

import json
import math
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from smp_bringup.errors import ModelError, one_line
from smp_bringup.training.state import write_tensors

FILE = "best.safetensors"


class Best:
    """The best of all looks at held-out demonstrations so far, of a training that a resumed one goes on with."""

    def __init__(self, folder: Path) -> None:
        """Keep it in `folder`."""
        self._path = folder / FILE
        self.step = 0
        """At which it was seen; 0 before the first look."""
        self._error = math.inf

    def begin(self) -> None:
        """Forget what another training left in the folder."""
        self._path.unlink(missing_ok=True)

    def resume(self) -> None:
        """Go on with what the folder holds, if it holds any.

        Raises:
            ModelError: the file is broken.
        """
        if not self._path.is_file():
            return
        try:
            with safe_open(self._path, framework="pt") as file:
                told = file.metadata() or {}
            self.step, self._error = int(told["step"]), float(told["error"])
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise ModelError(f"'{self._path}' is no file of ours: {one_line(error)}: remove it") from None

    def offer(self, step: int, error: float, network: nn.Module) -> None:
        """Keep the weights of `network` if their error [rad] at `step` is the lowest so far."""
        if error < self._error:
            told = {"step": json.dumps(step), "error": json.dumps(error)}
            write_tensors(self._path, {k: v.contiguous() for k, v in network.state_dict().items()}, told)
            self.step, self._error = step, error

    def load_into(self, network: nn.Module) -> None:
        """Give a network the weights that were kept."""
        network.load_state_dict(load_file(self._path))
