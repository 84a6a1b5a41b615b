"""The sentences that a policy knows, with their embeddings; it travels in the checkpoint.

So a policy that runs needs no language model: what it is told is looked up.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from smp_bringup import config
from smp_bringup.errors import ConfigError, InstallError, ModelError, one_line
from smp_bringup.words import encoder

SENTENCES, EMBEDDINGS = "words.json", "words.safetensors"
"""Files of a checkpoint."""
_TENSOR = "embeddings"
_MOST = 100_000
_LONGEST = 1000
"""Characters of a sentence."""
_LENGTH_OFF = 1e-2
_SHOWN = 8
NEAR = 0.6
"""Cosine to the nearest known sentence below which a new one says something else."""

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


def _none() -> NDArray[np.float32]:
    return np.zeros((0, encoder.SIZE), np.float32)


@dataclass(frozen=True)
class Phrasebook:
    """Sentences of demonstrations, other ways to say each, and the embeddings of all."""

    phrases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Per sentence its paraphrases."""
    embeddings: NDArray[np.float32] = field(default_factory=_none)
    """(n, 384): of the first sentence, of its paraphrases, of the second sentence, and so on."""

    @property
    def wordings(self) -> tuple[str, ...]:
        """All sentences and paraphrases, in the order of the embeddings."""
        return tuple(text for sentence, others in self.phrases.items() for text in (sentence, *others))

    def rows(self, sentence: str) -> NDArray[np.int64]:
        """Return which embeddings (m,) are of a sentence of demonstrations and its paraphrases; its own is first."""
        first = 0
        for known, others in self.phrases.items():
            if known == sentence:
                return np.arange(first, first + 1 + len(others))
            first += 1 + len(others)
        raise KeyError(sentence)

    def understood(self, text: str, embed: Embed = encoder.embed) -> NDArray[np.float32]:
        """Return the embedding (384,) of what a policy is told: looked up, or made where the encoder is installed.

        Raises:
            ConfigError: the sentence is not known, and cannot be embedded or is like none that is known.
            ModelError: the policy carries no sentences at all.
        """
        if not self.phrases:
            raise ModelError("this policy is told in words what to do, and carries no sentences: train it anew")
        rows = {plain(known): row for row, known in enumerate(self.wordings)}
        if (row := rows.get(plain(text))) is not None:
            known: NDArray[np.float32] = self.embeddings[row]
            return known
        told = f"the policy does not know the sentence '{one_line(text[:_LONGEST])}'"
        try:
            found: NDArray[np.float32] = embed([text])[0]
        except InstallError as error:
            raise ConfigError(f"{told}; it knows: {self._shown()}; for others: {error}") from None
        cosine = self.embeddings @ found
        if cosine.max() < NEAR:
            nearest = self.wordings[int(cosine.argmax())]
            raise ConfigError(
                f"{told}, and nothing like it (nearest: '{nearest}', {cosine.max():.2f} of at least {NEAR:g}); "
                f"it knows: {self._shown()}"
            )
        return found

    def _shown(self) -> str:
        named = [f"'{one_line(sentence)}'" for sentence in list(self.phrases)[:_SHOWN]]
        more = len(self.wordings) - len(named)
        return ", ".join(named) + (f" and {more} more (words.json of the checkpoint)" if more else "")

    def to_files(self) -> dict[str, bytes]:
        """Return the book as files of a checkpoint."""
        told = {"encoder": encoder.ENCODER, "phrases": {key: list(value) for key, value in self.phrases.items()}}
        return {
            SENTENCES: (json.dumps(told, indent=1) + "\n").encode(),
            EMBEDDINGS: save({_TENSOR: np.ascontiguousarray(self.embeddings)}),
        }

    @staticmethod
    def from_files(files: Mapping[str, bytes]) -> "Phrasebook":
        """Return the book of a checkpoint's files.

        Raises:
            ModelError: one is missing, broken, or of another encoder.
        """
        for name in (SENTENCES, EMBEDDINGS):
            if name not in files:
                raise ModelError(f"the checkpoint lacks {name}, and its policy is told what to do: train it anew")
        try:
            told = config.parse_json(files[SENTENCES], SENTENCES)
            phrases = {str(key): tuple(map(str, value)) for key, value in told["phrases"].items()}
            embeddings = load(files[EMBEDDINGS])[_TENSOR].astype(np.float32)
        except (ConfigError, SafetensorError, KeyError, AttributeError, TypeError, ValueError) as error:
            raise ModelError(f"the checkpoint's sentences are broken: {one_line(repr(error))[:200]}") from None
        if told.get("encoder") != encoder.ENCODER:
            raise ModelError(f"{SENTENCES} is of another sentence encoder than this version has: train it anew")
        book = Phrasebook(phrases, embeddings)
        wordings = book.wordings
        if not 0 < len(wordings) <= _MOST or max(map(len, wordings)) > _LONGEST:
            raise ModelError(f"{SENTENCES} must hold 1 to {_MOST} sentences of at most {_LONGEST} characters")
        if embeddings.shape != (len(wordings), encoder.SIZE):
            raise ModelError(f"{EMBEDDINGS} is {embeddings.shape}, {SENTENCES} gives ({len(wordings)}, {encoder.SIZE})")
        if not (np.abs(np.linalg.norm(embeddings, axis=1) - 1) < _LENGTH_OFF).all():  # false for NaN, too
            raise ModelError(f"{EMBEDDINGS} holds an embedding that is not of length 1: train it anew")
        return book


def plain(text: str) -> str:
    """Return a sentence without what does not matter: case, spaces, and punctuation at its end."""
    return " ".join(text.lower().split()).rstrip(" .,;:!?")


def written(phrases: Mapping[str, Sequence[str]], embed: Embed = encoder.embed) -> Phrasebook:
    """Return the book of sentences and their paraphrases.

    Raises:
        InstallError: the encoder is not installed.
    """
    kept = {sentence: tuple(others) for sentence, others in phrases.items()}
    book = Phrasebook(kept)
    return Phrasebook(kept, embed(book.wordings))
