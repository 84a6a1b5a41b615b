"""Numbers on the command line of this example's tools; one that cannot be is told before any work."""

from smp_bringup.errors import ConfigError, one_line

_LAST_SEED = 21_473
"""The environment's seeds end at 2^32, and each of ours has 200,000 of them (`smp_bringup.sim.seeds`)."""


def seed_of(text: str) -> int:
    """Return the seed that an argument names; raises ConfigError for one that the environment cannot have."""
    return _number("a seed", text, 0, _LAST_SEED)


def episodes_of(text: str) -> int:
    """Return how many episodes an argument asks for; raises ConfigError for none, and for more than a seed has."""
    return _number("a number of episodes", text, 1, 100_000)


def _number(what: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
        raise ConfigError(f"{what} is a whole number from {least} to {most}, got '{one_line(text)}'")
    return int(text)
