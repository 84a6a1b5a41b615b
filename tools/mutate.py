"""Plants faults (tools/mutants.yaml) one by one and says which of them the tests of their room notice: make mutants."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from smp_bringup.config import load

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path("src/smp_bringup")
LEAST = 0.95
"""Share of the faults that must be noticed."""
_LONGEST_S = 900
_PASSED, _FAILED = 0, 1
"""Exit codes of pytest."""


@dataclass(frozen=True)
class Mutant:
    """One planted fault."""

    name: str
    file: str
    """Below src/smp_bringup."""
    old: str
    """Stands exactly once in the file."""
    new: str
    reason: str = ""
    """Why no test notices it, where none does."""

    @property
    def room(self) -> str:
        """Room of the package, whose tests must notice it."""
        return Path(self.file).parts[0]

    def planted(self, root: Path) -> str:
        """Return the file's text with the fault in it; raises ValueError where `old` does not stand there once."""
        text = (root / PACKAGE / self.file).read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"'{self.name}': its line stands {text.count(self.old)} times in {self.file}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Mutants:
    """The content of tools/mutants.yaml."""

    tests: dict[str, tuple[str, ...]]
    mutants: tuple[Mutant, ...]


@dataclass(frozen=True)
class Outcome:
    """What the tests of a room said of a fault."""

    mutant: Mutant
    noticed: bool
    by: str
    seconds: float


def read() -> Mutants:
    """Return the planted faults."""
    return load(Mutants, ROOT / "tools/mutants.yaml")


def copy_tree(to: Path) -> Path:
    """Return a copy of what is tracked, in which faults can be planted."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    for name in listed:
        if name and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    return to


def run_tests(root: Path, tests: Iterable[str]) -> tuple[int, str]:
    """Return pytest's exit code and the first test that failed (file::test) in a copy of the tree."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(root / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, timeout=_LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired:
        return _FAILED, f"nothing within {_LONGEST_S} s"
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return done.returncode, failed[0].split(" - ")[0].split(" ", 1)[1] if failed else done.stdout[-200:]


def judge(mutant: Mutant, root: Path, tests: Iterable[str]) -> Outcome:
    """Plant a fault in a copy of the tree, run the tests of its room, and take the fault out again."""
    path, begun = root / PACKAGE / mutant.file, time.monotonic()
    sound = path.read_text(encoding="utf-8")
    try:
        path.write_text(mutant.planted(root), encoding="utf-8")
        code, by = run_tests(root, tests)
    finally:
        path.write_text(sound, encoding="utf-8")
    return Outcome(mutant, code != _PASSED, by if code != _PASSED else "", time.monotonic() - begun)


def show(console: Console, outcomes: list[Outcome]) -> bool:
    """Print the table; return whether enough was noticed."""
    table = Table("room", "planted fault", "noticed by", "s")
    for one in outcomes:
        by = one.by.split("::")[-1] if one.noticed else f"[red]nobody[/red]: {one.mutant.reason or 'no reason given'}"
        table.add_row(one.mutant.room, one.mutant.name, by, f"{one.seconds:.0f}")
    console.print(table)
    noticed = sum(one.noticed for one in outcomes)
    console.print(f"{noticed} of {len(outcomes)} planted faults noticed ({noticed / len(outcomes):.1%})")
    return noticed >= LEAST * len(outcomes)


def main() -> int:
    """Judge every fault, or those whose name or file contains a word; exit code 1 when too few are noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="faults whose name or file contains this")
    parser.add_argument("--workers", type=int, default=2, help="test runs at a time")
    parser.add_argument("--json", type=Path, help="write the outcomes here")
    given, console, found = parser.parse_args(), Console(), read()
    wanted = [m for m in found.mutants if given.only in m.name or given.only in m.file]
    with TemporaryDirectory() as folder, ThreadPoolExecutor(given.workers) as pool:
        copies: SimpleQueue[Path] = SimpleQueue()
        last: dict[str, str] = {}  # what noticed the last fault of a file is likely to notice the next one: it is first
        for number in range(given.workers):
            copies.put(copy_tree(Path(folder) / str(number)))

        def borrowed(mutant: Mutant) -> Outcome:
            root = copies.get()
            try:
                tests = sorted(found.tests[mutant.room], key=lambda test: test != last.get(mutant.file))
                outcome = judge(mutant, root, tests)
                last[mutant.file] = outcome.by.split("::")[0]
                return outcome
            finally:
                copies.put(root)

        first = copies.get()
        for room in dict.fromkeys(m.room for m in wanted):
            code, by = run_tests(first, found.tests[room])
            if code != _PASSED:
                console.print(f"the tests of {room} fail without any fault: {by}", style="red")
                return 2
        copies.put(first)
        outcomes = []
        for one in pool.map(borrowed, wanted):
            outcomes.append(one)
            console.print(
                f"{len(outcomes)}/{len(wanted)} {'noticed' if one.noticed else 'SURVIVED'}: {one.mutant.name} "
                f"({one.seconds:.0f} s)"
            )
    if given.json:
        rows = [{"name": o.mutant.name, "file": o.mutant.file, "noticed": o.noticed, "by": o.by} for o in outcomes]
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0 if show(console, outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
