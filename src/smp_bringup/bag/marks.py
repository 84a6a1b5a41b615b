"""What somebody said of an episode after it was recorded: its label, and whether it is trained on.

A bag is not written twice: the words lie beside its messages, in `mark.yaml` of its folder, and go where it goes.
"""

from collections.abc import Mapping
from pathlib import Path

from smp_bringup import config
from smp_bringup.bag.episode import OUTCOMES
from smp_bringup.bag.metadata import METADATA
from smp_bringup.documents import dump_yaml
from smp_bringup.errors import BagError, ConfigError
from smp_bringup.output import write_text

MARK = "mark.yaml"
USE, OUTCOME = "use", "outcome"
TRAINING, HELD_OUT = "training", "held_out"
CHOICES: Mapping[str, tuple[str, ...]] = {OUTCOME: tuple(OUTCOMES.values()), USE: (TRAINING, HELD_OUT)}
"""What may be said."""


def read_marks(bag: Path) -> dict[str, str]:
    """Return what was said of the episode in a folder; nothing where nothing was, or a bag is one file.

    Raises:
        BagError: it is not what may be said.
    """
    file = bag / MARK
    if not file.is_file():
        return {}
    try:
        said = config.read_yaml(file)
        _check(said)
    except ConfigError as error:
        raise BagError(f"bag '{bag}': {MARK} cannot be used: {error}; mend or remove it") from None
    return {str(key): str(value) for key, value in said.items()}


def write_mark(bag: Path, key: str, value: str) -> None:
    """Say something of the episode in a folder; what else was said of it stays.

    Raises:
        BagError: the folder is no bag.
        ConfigError: that may not be said.
        OutputError: it cannot be written.
    """
    _check({key: value})
    if bag.is_symlink() or not (bag / METADATA).is_file():
        raise BagError(f"'{bag}' is no folder of a bag with its {METADATA}: nothing can be said of it")
    write_text(bag / MARK, dump_yaml({**read_marks(bag), key: value}))


def _check(said: Mapping[str, object]) -> None:
    for key, value in said.items():
        if value not in CHOICES.get(str(key), ()):
            allowed = "; ".join(f"{name}: {', '.join(words)}" for name, words in CHOICES.items())
            raise ConfigError(f"'{str(key)[:40]}: {str(value)[:40]}' is none of {allowed}")
