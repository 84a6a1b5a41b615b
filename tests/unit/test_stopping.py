"""A process that is told to stop while it loads leaves that at once; what it works at, it finishes."""

import subprocess
import sys
import textwrap

import pytest

DEADLINE_S = 60
BEGIN = """
import os, signal, socket, sys, threading
from smp_bringup.nodes.stopping import Stopped, loading, told_to_stop
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, told_to_stop)
ask = lambda: os.kill(os.getpid(), signal.SIGINT)
ours, theirs = socket.socketpair()
def waits():
    threading.Timer(0.2, ask).start()
    return ours.recv(1)
"""


def said(body):
    """Return what a process said that ran `body`."""
    script = BEGIN + textwrap.dedent(body)
    done = subprocess.run(
        [sys.executable, "-c", script], timeout=DEADLINE_S, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.split()


def test_a_wait_in_a_pipe_is_left():
    body = """
    try:
        with loading():
            waits()
            print("went on")
    except Stopped:
        print("left")
    """
    assert said(body) == ["left"]


def test_it_is_no_failure_that_loading_recovers_from():
    body = """
    try:
        with loading():
            try:
                waits()
            except Exception:
                print("recovered")
    except Stopped:
        print("left")
    """
    assert said(body) == ["left"]


@pytest.mark.parametrize(("then", "seen"), [("pass", ["lost", "goes-on", "left"]), ("inner()", ["lost", "left"])])
def test_a_request_that_was_lost_in_a_destructor_is_noticed_later(then, seen):
    body = f"""
    class Lost:
        def __del__(self):
            ask()
    def inner():
        with loading():
            print("inner")
    sys.unraisablehook = lambda _: print("lost")
    try:
        with loading():
            lost = Lost()
            del lost
            {then}
            print("goes-on")
    except Stopped:
        print("left")
    """
    assert said(body) == seen


def test_what_is_no_loading_is_finished_and_nothing_is_loaded_afterwards():
    body = """
    ask()
    print("finished")
    try:
        with loading():
            print("loaded")
    except Stopped:
        print("left")
    """
    assert said(body) == ["finished", "left"]


def test_a_second_request_does_not_strike_what_the_first_one_ends():
    body = """
    try:
        with loading():
            try:
                waits()
            finally:
                ask()
                print("tidied")
    except Stopped:
        print("left")
    """
    assert said(body) == ["tidied", "left"]
