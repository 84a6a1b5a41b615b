"""Work in several processes ends: with its results, with the error of a job, or with the death of a process."""

import importlib
import os
import pkgutil
import signal
import subprocess
import sys
import textwrap
from multiprocessing.reduction import ForkingPickler

import pytest

import smp_bringup
from smp_bringup.errors import SmpError, UnknownNameError, WorkerError
from smp_bringup.processes import ordered, unordered
from smp_bringup.robot import load_robot

DEADLINE_S = 60
ARGUMENTS = {UnknownNameError: ("robot", "alhoa", ["aloha"])}
"""What an error is made of that is made of more than its message."""


def double(job):
    return 2 * job


def fail(job):
    load_robot("nobody")


def fail_at_three(job):
    if job == 3:
        raise SmpError("three")
    return job


class Stubborn(Exception):
    """Cannot be made from its message."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def fail_stubbornly(job):
    raise Stubborn("one", "two")


def killed(job):
    os.kill(os.getpid(), signal.SIGKILL)


def left(job):
    sys.exit(7)


def own_pid(job):
    return os.getpid()


ELSEWHERE = ("launch_actions", "worker.__main__")
"""Loaded where ROS is installed whole, and in LeRobot's environment; `view` is where Rerun is."""


def errors():
    """Return every exception class of the package."""
    for module in pkgutil.walk_packages(smp_bringup.__path__, "smp_bringup."):
        if not module.name.endswith(ELSEWHERE) and not module.name.startswith("smp_bringup.view."):
            importlib.import_module(module.name)
    found, new = set(), {Exception}
    while new:
        new = {sub for kind in new for sub in kind.__subclasses__()} - found
        found |= new
    return sorted((kind for kind in found if kind.__module__.startswith("smp_bringup")), key=lambda kind: kind.__name__)


def test_every_error_survives_the_way_to_another_process():
    kinds = errors()
    assert {"ConfigError", "UnknownNameError", "NodeDied", "GraphError", "Refusal"} <= {kind.__name__ for kind in kinds}
    for kind in kinds:
        error = kind(*ARGUMENTS.get(kind, ("one line",)))
        error.add_note("a note")
        back = ForkingPickler.loads(ForkingPickler.dumps(error))
        assert (type(back), str(back), back.args, back.__notes__) == (kind, str(error), error.args, ["a note"])


def ended(body, modules=""):
    """Return how a process ended that iterates over jobs as `body` says; none may hang."""
    script = f"""
    import os, signal
    from smp_bringup.processes import ordered, unordered
    import test_processes_end as jobs
    if __name__ == "__main__":
        try:
            print(list({body}))
        except Exception as error:
            print(type(error).__name__, str(error), sep=": ")
    """
    path = os.pathsep.join([str(modules), os.path.dirname(__file__), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": path},
        timeout=DEADLINE_S,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("how", ["ordered", "unordered"])
@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("fail", "UnknownNameError: unknown robot 'nobody'"),
        ("fail_stubbornly", "RuntimeError: Stubborn: one and two"),
        ("killed", "was killed by SIGKILL at job"),
        ("left", "ended with exit code 7 at job"),
    ],
)
def test_a_job_that_fails_ends_the_work(how, function, message):
    said = ended(f"{how}(jobs.{function}, range(20), 2)")
    assert message in said
    assert "\n" not in said


def test_an_interrupt_at_the_keyboard_does_not_reach_a_process_that_imports_its_modules(tmp_path):
    (tmp_path / "interrupted.py").write_text(
        "import os, signal\n"
        "if os.environ.setdefault('FIRST', str(os.getpid())) != str(os.getpid()):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "else:  # in the background of a shell it is ignored\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def double(job):\n"
        "    return 2 * job\n"
    )
    assert ended("unordered(__import__('interrupted').double, [4], 1)", tmp_path) == "[8]"


def test_results_come_in_the_order_that_was_asked_for():
    assert list(ordered(double, range(20), 3)) == [2 * job for job in range(20)]
    assert sorted(unordered(double, range(20), 3)) == [2 * job for job in range(20)]
    assert list(ordered(double, [], 3)) == []


def test_results_before_an_error_are_given_in_order():
    seen = []
    with pytest.raises(SmpError, match="three") as error:
        seen.extend(ordered(fail_at_three, range(6), 2))
    assert "in fail_at_three" in error.value.__notes__[0]


def test_a_process_that_is_killed_from_outside_is_named():
    running = unordered(own_pid, range(100), 2)
    victim = next(running)
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(WorkerError, match=rf"worker process {victim} was killed by SIGKILL at job \d+ of 100"):
        list(running)


def test_no_process_outlives_the_one_that_started_it():
    """They hold its standard output, which is only closed once all of them are gone."""
    assert ended("os.kill(os.getpid(), signal.SIGKILL) for _ in unordered(jobs.own_pid, range(10**6), 2)") == ""


def test_a_middleware_that_hangs_in_closing_does_not_keep_its_process():
    code = """
        import signal
        from smp_bringup.nodes.closing import bounded_closing
        with bounded_closing(0.1):
            pass
        print("closed", flush=True)
        with bounded_closing(0.1):
            signal.pause()
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert run.returncode == 1
    assert run.stdout == "closed\n"
    assert 'File "<string>", line 8' in run.stderr, "where it hangs"
