"""What is denoised for one observation: by which denoisers, and how their predictions make one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from smp_bringup.types import FloatArray


@dataclass(frozen=True)
class Denoising:
    """The task that a policy gives to its engine.

    With `whole` alone one denoiser predicts the whole sample (T, N). With `columns` alone each of these predicts its
    own column of a sample of coefficients (T, K), and the other columns are zero. With both, the columns are added to
    the whole action along the basis.
    """

    coded: Mapping[str, FloatArray]
    """As `AbstractEngine.encode` returned it."""
    mask: FloatArray
    """(K,) weight of each expert, zero where it is off."""
    columns: tuple[int, ...] = ()
    """Denoisers of one column each."""
    whole: int | None = None
    """Denoiser of the whole sample."""

    @property
    def denoisers(self) -> tuple[int, ...]:
        """All that are run at every step."""
        return self.columns if self.whole is None else (self.whole, *self.columns)

    def joined(self, predictions: Mapping[int, FloatArray], size: tuple[int, int]) -> FloatArray:
        """Return what the predictions of all `denoisers`, by their index, say together of a sample (T, N).

        Args:
            predictions: (T,) of each column, (T, N) of the whole.
            size: T and K.
        """
        if not self.columns and self.whole is not None:
            return predictions[self.whole]
        each = np.zeros(size)
        for i in self.columns:
            each[:, i] = predictions[i]
        return each if self.whole is None else predictions[self.whole] + each @ self.coded["basis"].T
