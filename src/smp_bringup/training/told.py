"""What each sample of a batch is told to do: its episode's sentence, or another way to say it."""

import numpy as np
from numpy.typing import NDArray

from smp_bringup.errors import BagError, ConfigError
from smp_bringup.training.config import RunConfig
from smp_bringup.training.dataset import Dataset
from smp_bringup.words.encoder import installed, uninstalled
from smp_bringup.words.phrasebook import Phrasebook, written
from smp_bringup.words.phrases import Phrases, load_phrases, said_of


class Told:
    """The wordings of every frame of a dataset."""

    def __init__(self, data: Dataset, book: Phrasebook) -> None:
        """Look up what the episodes of `data` show in `book`, which has all of their sentences."""
        self._embeddings: NDArray[np.float32] = book.embeddings
        rows = {sentence: book.rows(sentence) for sentence in dict.fromkeys(data.sentences)}
        self._first = np.repeat([rows[s][0] for s in data.sentences], np.diff(data.starts))
        self._count = np.repeat([len(rows[s]) for s in data.sentences], np.diff(data.starts))

    def draw(self, frames: np.ndarray, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return the embeddings (B, 384) of wordings drawn for frames (B,)."""
        rows = self._first[frames] + rng.integers(0, self._count[frames])
        out: NDArray[np.float32] = self._embeddings[rows]
        return out

    def own(self, frames: np.ndarray) -> NDArray[np.float32]:
        """Return the embeddings (B, 384) of the very sentences that the bags of frames (B,) say."""
        out: NDArray[np.float32] = self._embeddings[self._first[frames]]
        return out


def wanted_phrases(run: RunConfig) -> Phrases:
    """Return the paraphrases that a run names, before anything is read for it.

    Raises:
        ConfigError: it names some for a policy that is not told in words, or they cannot be read.
        InstallError: its policy is told in words, and no sentence encoder is installed.
    """
    if not run.policy.words:
        if run.training.phrases:
            raise ConfigError("training.phrases is of a policy that is told in words: --set policy.words=true")
        return {}
    if not installed():
        raise uninstalled()
    return load_phrases(run.training.phrases)


def book_of(data: Dataset, run: RunConfig, phrases: Phrases) -> Phrasebook:
    """Return the sentences of all demonstrations with their paraphrases, embedded; nothing for a policy without words.

    Raises:
        BagError: a demonstration does not say what it shows.
        ConfigError: the paraphrases are of none of them.
    """
    if not run.policy.words:
        return Phrasebook()
    silent = sum(not sentence for sentence in data.sentences)
    if silent:
        raise BagError(
            f"{silent} of {len(data.sentences)} demonstrations do not say what they show, and this policy is told: "
            "record with a task, or --set policy.words=false"
        )
    return written(said_of(data.sentences, phrases, run.training.phrases))
