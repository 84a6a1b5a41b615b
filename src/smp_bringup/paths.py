"""Where the installed files are: launch files, configuration and models.

Code that runs from a checkout takes the checkout's own files, whatever else is installed or sourced. Otherwise
a colcon workspace registers the package with the ament index, and `pip install .` puts the files under
`sys.prefix/share`; they are looked for in that order.
"""

import os
import sys
from pathlib import Path

from smp_bringup.errors import ConfigError, UnknownNameError, one_line

PACKAGE = "smp_bringup"
FLAGSHIP = "sparse_aloha"
"""The shipped model that a verb takes unless it is told otherwise."""

HOSTED = "lerobot:"
"""What the name of a policy of LeRobot begins with; a folder or a file follows."""


def share_candidates() -> tuple[Path, ...]:
    """Return the folders that may hold the shared files, in the order they are tried."""
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    indexed = [
        prefix / "share" / PACKAGE
        for prefix in prefixes
        if (prefix / "share/ament_index/resource_index/packages" / PACKAGE).exists()
    ]
    checkout = Path(__file__).resolve().parents[2]
    return (checkout, *indexed, Path(sys.prefix) / "share" / PACKAGE)


def share(*parts: str) -> Path:
    """Return the shared file or folder `parts`, e.g. `share("config", "fastdds.xml")`.

    Raises:
        ConfigError: it is in none of the candidate folders; the message lists them.
    """
    candidates = share_candidates()
    for base in candidates:
        if (base / "package.xml").is_file() and base.joinpath(*parts).exists():
            return base.joinpath(*parts)
    tried = ", ".join(str(base) for base in candidates)
    raise ConfigError(f"'{'/'.join(parts)}' was not found; tried {tried}: reinstall smp_bringup")


PACKAGE_URI = "package://"
"""Begins what names a file by the ROS package that holds it."""
PYPI_URI = "pypi://"
"""Begins what names a file by the Python distribution that brought it."""


def located(uri: str) -> Path:
    """Return the file that a path, package://PACKAGE/PATH or pypi://DISTRIBUTION/PATH names.

    Raises:
        ConfigError: there is no such package, or no such file.
    """
    if uri.startswith(PYPI_URI):
        package, _, inside = uri.removeprefix(PYPI_URI).partition("/")
        path, where = _distribution_file(package, inside, uri), f" (distribution '{one_line(package)}')"
    elif not uri.startswith(PACKAGE_URI):
        path, where = Path(uri), ""
    else:
        package, _, inside = uri.removeprefix(PACKAGE_URI).partition("/")
        path, where = _package_share(package, uri) / inside, f" (package '{one_line(package)}')"
    if not os.path.isfile(path):
        raise ConfigError(f"file '{one_line(str(path))}'{where} does not exist")
    return path


def _package_share(package: str, uri: str) -> Path:
    """Return the folder of a package's shared files; a checkout of ours is ours, whatever else is sourced."""
    if package == PACKAGE:
        return share("package.xml").parent
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    for prefix in prefixes:
        if (prefix / "share/ament_index/resource_index/packages" / package).exists():
            return prefix / "share" / package
    raise ConfigError(
        f"'{one_line(uri)}': no package '{one_line(package)}' is found: source the workspace that has it, "
        "or give a path to the file"
    )


def _distribution_file(distribution: str, inside: str, uri: str) -> Path:
    """Return a file of what pip installed."""
    from importlib import metadata  # slow to import, and an emergency stop needs none of it

    try:
        return Path(str(metadata.distribution(distribution).locate_file(inside)))
    except (metadata.PackageNotFoundError, ValueError):
        name = one_line(distribution)
        raise ConfigError(
            f"'{one_line(uri)}': {name} is not installed: make robots, or pip install --no-deps {name}"
        ) from None


_KINDS = {
    "robots": "robot",
    "tasks": "task",
    "variations": "variation",
    "policies": "policy",
    "presets": "preset",
    "phrases": "phrases",
    "studies": "study",
    "safety": "safety settings",
    "recording": "recording settings",
    "criteria": "criteria",
    "geometry": "geometry",
    "simulations": "simulation",
    "imports": "import mapping",
}
"""Folders of config/ and what one file in each describes."""


def named_config(kind: str, name: str) -> Path:
    """Return the YAML of `name` in config/`kind`, or `name` itself when it is a path to a file."""
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        if not os.path.isfile(path):  # Path.is_file raises for a name that the system cannot have
            raise ConfigError(f"{_KINDS[kind]} file '{one_line(name)}' does not exist")
        return path
    folder = share("config", kind)
    known = sorted(p.stem for p in folder.glob("*.yaml"))
    if name not in known:
        raise UnknownNameError(_KINDS[kind], name, known)
    return folder / f"{name}.yaml"
