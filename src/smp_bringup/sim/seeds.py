"""World seeds: demonstrations take odd ones and evaluations even ones, so that they never meet."""

_EPISODES = 100_000


def demonstration_seed(seed: int, episode: int) -> int:
    """Return the world seed of an episode that may be trained on."""
    return 2 * (seed * _EPISODES + episode) + 1


def evaluation_seed(seed: int, episode: int) -> int:
    """Return the world seed of an episode that is never trained on."""
    return 2 * (seed * _EPISODES + episode)
