"""Settings for an occasion, made to any run (config/presets/*.yaml)."""

from dataclasses import dataclass

from smp_bringup import config
from smp_bringup.paths import named_config


@dataclass(frozen=True)
class Preset:
    """What `smp train --preset NAME` stands for; it names no cameras and no kind, so that it fits many runs."""

    policy: str = "smp"
    """Run in config/policies, taken where no other is named."""
    set: tuple[str, ...] = ()
    """Changes to the run, as of `smp train --set`; those that are given beside it come after them."""


def load_preset(name: str) -> Preset:
    """Return the preset `name` (in config/presets, or a path to a YAML file); of no name, one that changes nothing."""
    return config.load(Preset, named_config("presets", name)) if name else Preset()
