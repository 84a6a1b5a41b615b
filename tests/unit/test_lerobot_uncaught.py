"""How a program of LeRobot's ends that our plugins are in."""

import subprocess
import sys

import pytest

BEGIN = """
from smp_bringup.errors import ConfigError
from smp_bringup.lerobot.uncaught import say_errors, say_interrupt
say_errors()
say_interrupt("interrupted")
say_errors()
"""
WRAPPED = "try: raise ConfigError('no\\nrobot')\nexcept Exception as error: raise ValueError('no device') from error"


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        ("raise ConfigError('no\\nrobot')", 2, "error: no\\nrobot\n"),
        (WRAPPED, 2, "error: no\\nrobot\n"),
        ("raise KeyboardInterrupt", 130, "interrupted\n"),
        ("raise SystemExit(3)", 3, ""),
    ],
)
def test_an_error_of_ours_is_one_line(end, code, said):
    done = subprocess.run([sys.executable, "-c", BEGIN + end], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (code, said, "")


def test_an_error_of_others_keeps_its_traceback():
    done = subprocess.run([sys.executable, "-c", f"{BEGIN}1 / 0"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
