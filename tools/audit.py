"""Asks PyPI's advisories about every package that the locks install with this Python: python tools/audit.py

Exit code 0: nothing is known against any. 1: something is, a line each. 2: some could not be asked about.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "requirements/lock"
OPTIONS = ("--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json")


def ask(lock: Path) -> list[dict[str, Any]]:
    """Return what pip-audit says of each package in a lock; ends with exit code 2 where it says nothing."""
    command = [sys.executable, "-m", "pip_audit", *OPTIONS, f"--requirement={lock}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout.startswith("{"):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        print(f"audit: no answer about {lock.name}; pip-audit says: {last}", file=sys.stderr)
        sys.exit(2)
    answers: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    return answers


def main() -> int:
    """Ask about every lock, and say what is known."""
    answers = [answer for lock in sorted(LOCK.glob("*.txt")) for answer in ask(lock)]
    asked = {answer["name"] for answer in answers}
    unknown = sorted({answer["name"] for answer in answers if "skip_reason" in answer})
    known = {
        f"{answer['name']} {answer['version']}: {fault['id']}, mended in {', '.join(fault['fix_versions']) or '?'}"
        for answer in answers
        for fault in answer.get("vulns", ())
    }
    for line in sorted(known):
        print(line)
    if unknown:
        who = f"any of {len(asked)} packages" if len(unknown) == len(asked) else ", ".join(unknown)
        print(f"audit: no answer about {who}: PyPI's advisories were not reached", file=sys.stderr)
    else:
        print(f"audit: {len(known)} known faults in {len(asked)} packages")
    return 1 if known else 2 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
