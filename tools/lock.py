"""Writes requirements/lock from requirements/*.in: every package, direct or not, with the hashes of all its builds.

Versions that are locked stay, unless uv is told otherwise: python tools/lock.py [--upgrade-package NAME | --upgrade]
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "requirements"
LOCK = REQUIREMENTS / "lock"
KINDS = ("ros-kilted", "ros-jazzy", "ros-system")
EXTRAS = ("teleop", "bridge", "console", "words", "backbones", "browser")
"""What is installed where it is wanted, beside what every kind runs with."""
BESIDE = ("assets", "robots", "view")
"""What is installed without its own dependencies, beside what is there."""
CUDA = re.compile(r"(nvidia|cuda|triton)\b")
"""Packages that PyTorch's builds with CUDA ask for, and those without do not."""
SOURCE_ONLY = ("empy",)
"""Packages without a wheel: the setuptools of lock/build.txt builds them. Any other source package is refused."""
HEADER = "# Written by `make lock` from ../*.in; do not edit.\n--only-binary :all:\n" + "".join(
    f"--no-binary {name}\n" for name in SOURCE_ONLY
)

OPTIONS = ("--quiet", "--universal", "--python-version=3.11", "--generate-hashes", "--no-annotate", "--no-header")

Pins = dict[str, list[str]]
"""Hashes by pin: `name==version`, with its marker where it has one."""


def name(pin: str) -> str:
    """Return the name in a pin."""
    return pin.split("==")[0]


def read(text: str) -> Pins:
    """Return the pins of a lock."""
    pins: Pins = {}
    for entry in text.replace("\\\n", "").splitlines():
        if found := re.match(r"([\w.-]+==[^#]*?)\s+(--hash.*)", entry):
            pins[found[1]] = sorted(re.findall(r"sha256:[0-9a-f]{64}", found[2]))
    return pins


def write(file: str, pins: Pins, first: str = "") -> None:
    """Write one lock, if it says something new: its time is what `make setup` goes by."""
    entries = (" \\\n".join([pin, *(f"    --hash={h}" for h in pins[pin])]) + "\n" for pin in sorted(pins))
    text = HEADER + first + "".join(entries)
    path = LOCK / file
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def resolve(inputs: Iterable[str], locked: Iterable[str], *flags: str) -> Pins:
    """Return what `inputs` need on any platform and Python, in the versions `locked` where these still fit."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "lock.txt")
        out.write_text("\n".join(locked), encoding="utf-8")
        files = [str(REQUIREMENTS / f"{file}.in") for file in inputs]
        done = subprocess.run(
            [Path(sys.executable).with_name("uv"), "pip", "compile", *OPTIONS, *flags, *files, "--output-file", out],
            check=False,
        )
        if done.returncode:
            sys.exit(done.returncode)
        return read(out.read_text(encoding="utf-8"))


def add_builds(pins: Pins) -> None:
    """Add the hashes of builds that the registry does not serve, to the version that they are builds of."""
    for build, hashes in read((REQUIREMENTS / "torch-cpu.txt").read_text(encoding="utf-8")).items():
        pin = build.split("+")[0]
        if pin not in pins:
            sys.exit(f"lock: requirements/torch-cpu.txt has {build}, which is not locked: replace or delete its line")
        pins[pin] = sorted({*pins[pin], *hashes})


def only(pins: Pins, wanted: Iterable[str]) -> Pins:
    """Return some of the pins."""
    return {pin: pins[pin] for pin in wanted}


def split(full: dict[str, Pins], needed: dict[str, set[str]], extra: dict[str, dict[str, set[str]]]) -> dict[str, Pins]:
    """Return the locks by file: what every kind runs with, what each kind, extras, and tests and lint add, and CUDA.

    Args:
        full: pins of every kind, extras, tests and lint included.
        needed: names of the packages that every kind runs with.
        extra: by extra and kind, names of the packages that it runs with there.
    """
    everything: Pins = {pin: hashes for pins in full.values() for pin, hashes in pins.items()}
    run = {kind: {p for p in pins if name(p) in needed[kind] and not CUDA.match(p)} for kind, pins in full.items()}
    common = set.intersection(*run.values())
    added = {e: {p for k, pins in full.items() for p in pins if name(p) in extra[e][k] - needed[k]} for e in extra}
    return {
        "runtime": only(everything, common),
        "cuda": only(everything, (p for p in everything if CUDA.match(p))),
        **{file: only(everything, pins) for file, pins in added.items()},
        **{kind: only(everything, run[kind] - common) for kind in full},
    }


def main(flags: list[str]) -> None:
    """Write every lock."""
    old = {path.stem: read(path.read_text(encoding="utf-8")) for path in LOCK.glob("*.txt")}
    LOCK.mkdir(exist_ok=True)
    for file in ("build", "tools", *BESIDE):
        alone = ["--no-deps"] if file in BESIDE else []
        write(f"{file}.txt", resolve([file], old.get(file, ()), *flags, *alone))
    flags = [*flags, f"--constraint={LOCK / 'build.txt'}"]
    full, needed, extra = {}, {}, {each: {} for each in (*EXTRAS, "dev")}
    for kind in KINDS:
        locked = [pin for file in ("runtime", kind, *EXTRAS, "dev", "cuda") for pin in old.get(file, ())]
        full[kind] = resolve(["runtime", kind, *EXTRAS, "dev"], locked, *flags)
        needed[kind] = {name(pin) for pin in resolve(["runtime", kind], full[kind], *flags)}
        for each in extra:  # tests and lint too: what they need may also be an extra's
            extra[each][kind] = {name(pin) for pin in resolve(["runtime", kind, each], full[kind], *flags)}
        add_builds(full[kind])
    for file, pins in split(full, needed, extra).items():
        write(f"{file}.txt", pins, "-c cuda.txt\n" if file == "runtime" else "")


if __name__ == "__main__":
    main(sys.argv[1:])
