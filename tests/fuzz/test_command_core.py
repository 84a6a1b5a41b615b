"""The command core under whatever may be said to it, judged from what it published alone.

Some thousand cycles in CI; SMP_FUZZ_CYCLES=1000000 runs a million.
"""

import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smp_bringup.safety.command import CommandCore
from smp_bringup.safety.config import load_safety
from smp_bringup.safety.modes import Mode
from smp_bringup.types import ActionChunk, Command, JointSample, Severity, Verdict, nanoseconds

CYCLES = int(os.environ.get("SMP_FUZZ_CYCLES", "6000"))
MEAN_CYCLES = 300
"""Of an example, or somewhat more."""
MS = 1_000_000
GOALS = ("near", "far", "limits", "together", "together", "absurd", "nan", "tiny")
NAMES = ("a", "b")

cycles = st.integers(1, 80)
seeds = st.integers(0, 2**20)
FOLLOW = st.tuples(
    st.just("follow"), st.sampled_from([Mode.POLICY, Mode.TELEOP]), st.sampled_from(GOALS[:5]), cycles, seeds
)
SPEAK = st.tuples(
    st.just("speak"), st.sampled_from(GOALS), cycles, seeds, st.integers(1, 120), st.sampled_from([None, True, False])
)
ACTS = st.one_of(
    SPEAK,
    SPEAK,
    st.tuples(
        st.just("chunk"), st.sampled_from(GOALS), seeds, st.sampled_from([-5, 0, 0.1, 0.3, 3]), st.integers(0, 200)
    ),
    st.tuples(st.just("press"), st.sampled_from(NAMES), st.booleans()),
    st.tuples(st.just("ask"), st.sampled_from(["arm", "disarm", "hold", "reset", "policy", "teleop"])),
    st.tuples(st.just("source"), st.sampled_from(NAMES)),
    st.tuples(st.just("silence"), st.sampled_from(["left", "right", "base"]), cycles),
    st.tuples(st.just("lie"), seeds, st.sampled_from([0.0, 1e-3, 0.1, 0.3, 1.0, np.nan, 1e300]), cycles),
    st.tuples(st.just("sag"), seeds, st.floats(0.0, 2.0), cycles),
    st.tuples(st.just("clock"), st.sampled_from([-3600.0, -1.2, -0.4, -0.02, 0.3, 3600.0])),
    st.tuples(st.just("pause"), st.sampled_from([1, 9, 30, 45, 60, 500])),
    st.tuples(st.just("trouble"), st.sampled_from(["", "camera_frozen:overview"]), st.booleans()),
    st.tuples(st.just("wait"), cycles),
)
EPISODES = st.lists(st.tuples(FOLLOW, st.lists(ACTS, max_size=8)), min_size=1, max_size=6)
"""Each begins as an operator would; what comes then, no operator would do."""


class World:
    """A command core, arms that go where they are told, and everything that speaks to it and lies."""

    def __init__(self, robot, judge):
        self.robot, self.judge = robot, judge
        self.config = replace(load_safety("default"), ramp_in_s=0.05)
        self.core = CommandCore(robot, self.config)
        self.ms, self.offset_ns, self.source = 0, 0, "a"
        self.silent, self.lie, self.drop = {}, None, np.zeros(robot.dof)
        self.actual = np.array(robot.joint_array("home"))
        self.reported = self.actual
        self.speech = None
        self.low, self.high = robot.joint_array("min"), robot.joint_array("max")

    @property
    def now(self):
        return 10**18 + self.ms * MS + self.offset_ns

    @property
    def steady(self):
        return 5 * 10**12 + self.ms * MS

    def act(self, kind, *given):
        getattr(self, f"_{kind}")(*given)

    def cycle(self, count=1):
        for _ in range(count):
            self.ms += 10
            self._report()
            if self.speech is not None:
                self.speech()
            output = self.core.step(self.now, self.steady)
            self.judge.take(output, self.now, self.reported)
            if output.command is not None:
                self.actual = output.command.position - self.drop

    def goal(self, kind, seed):
        """Return what a source may want (J,), and how fast."""
        rng, still = np.random.default_rng(seed), np.zeros(self.robot.dof)
        if kind == "near":
            return self.actual + rng.uniform(-0.2, 0.2, self.robot.dof), still
        if kind == "limits":
            return rng.choice([self.low, self.high], axis=0), rng.choice([-100.0, 100.0], self.robot.dof)
        if kind == "together":  # hands that reach for each other, or arms into each other
            reach = {"shoulder": -0.1, "elbow": 0.5}
            center = [reach.get(joint.name.split("_")[-1], joint.home) for joint in self.robot.joints]
            poses, body = center + rng.uniform(-0.5, 0.5, (16, self.robot.dof)), self.judge.body
            nearest = body.distances(poses)[:, body.across].min(axis=1)
            return poses[nearest.argmin()], still
        if kind == "absurd":
            return rng.normal(size=self.robot.dof) * 1e5, rng.normal(size=self.robot.dof) * 1e5
        if kind == "nan":
            return np.where(rng.random(self.robot.dof) < 0.1, np.nan, self.actual), still
        if kind == "tiny":
            return self.actual, np.full(self.robot.dof, rng.choice([5e-324, 1e-310, 1e-30, 1e-12]))
        return rng.uniform(self.low, self.high), rng.normal(size=self.robot.dof)

    def _report(self):
        rng, seen = np.random.default_rng(self.ms), self.actual
        if self.lie is not None:
            seed, size = self.lie
            seen = seen + size * np.random.default_rng(seed).normal(size=self.robot.dof)
        for arm in self.robot.arms:
            if self.ms < self.silent.get(arm.name, 0):
                continue
            part = self.robot.arm_slices[arm.name]
            late = 15 * MS * (rng.random() < 0.02)
            sample = JointSample(self.now - late, seen[part], np.full(len(arm.joints), np.nan))
            if self.core.on_state(arm.name, sample, self.steady) is None:
                self.reported = self.reported.copy()
                self.reported[part] = seen[part]

    def _ask(self, request):
        replies = {
            "arm": lambda: self.core.arm(self.steady),
            "disarm": self.core.disarm,
            "hold": self.core.hold,
            "reset": lambda: self.core.reset(self.steady),
            "policy": lambda: self.core.use(Mode.POLICY, self.now, self.steady),
            "teleop": lambda: self.core.use(Mode.TELEOP, self.now, self.steady),
        }
        before = self.core.mode.value
        ok = replies[request]().ok
        if not (before == request or (request == "arm" and before == "hold")):
            self.judge.asked(request, ok, self.reported, bool(self.core._states.moving()))

    def _press(self, name, pressed):
        self.core.estop(pressed, name)
        if pressed:
            self.judge.pressed()
        self.cycle()

    def _follow(self, source, goal, count, seed):
        """Bring the core, whatever its mode, to follow a source, as an operator would."""
        self.lie, self.silent, self.drop = None, {}, np.zeros(self.robot.dof)
        for name in NAMES:
            self.core.estop(False, name)
        self.core.on_observation_state("")
        self.core.on_graph(())
        self.speech = None
        self.cycle(self.judge.stop_cycles if self.robot.rates.any() else 20)  # a base takes longer to stand
        for request in ("reset", "arm"):
            self._ask(request)
        here = self.actual.copy()
        self.speech = lambda: self._say(here, 0 * here, source is Mode.POLICY)
        self.cycle(2)
        self._ask(source.value)
        self._speak(goal, count, seed, 70, source is Mode.POLICY)

    def _say(self, position, velocity, policy):
        if policy:
            chunk = ActionChunk(self.now - 20 * MS, 0.04, np.stack([self.actual, *[position] * 15]))
            self.core.on_chunk(chunk, self.now, self.steady, self.source)
        else:
            self.core.on_teleop(JointSample(self.now, position, velocity), self.now, self.steady, self.source)

    def _speak(self, kind, count, seed, steps, policy):
        """Let a source (None: the one that is followed) go to a goal in so many steps, then stay there."""
        policy = self.core.mode is Mode.POLICY if policy is None else policy
        start, (goal, velocity), said = self.actual, self.goal(kind, seed), iter(np.linspace(0, 1, steps))

        def speech():
            share = next(said, 1.0)
            self._say(start + share * (goal - start), velocity, policy)

        self.speech = speech
        self.cycle(count)

    def _chunk(self, kind, seed, age_s, length):
        goal, _ = self.goal(kind, seed)
        rows = self.actual + np.linspace(0, 1, max(1, length))[:length, None] * (goal - self.actual)
        chunk = ActionChunk(self.now - nanoseconds(age_s), 0.04, rows)
        self.core.on_chunk(chunk, self.now, self.steady, self.source)
        self.cycle(3)

    def _source(self, name):
        self.source = name

    def _silence(self, arm, count):
        self.silent[arm] = self.ms + 10 * count
        self.cycle(count)

    def _lie(self, seed, size, count):
        self.lie = (seed, size)
        self.cycle(count)
        self.lie = None

    def _sag(self, seed, depth, count):
        """Let the arms leave their setpoints by and by."""
        away = depth * np.random.default_rng(seed).uniform(-1, 1, self.robot.dof) * self.robot.turning
        for share in np.linspace(0, 1, count):
            self.drop = share * away
            self.actual = self.reported * 0 + self.core._limiter.position - self.drop
            self.cycle()

    def _clock(self, step_s):
        self.offset_ns += nanoseconds(step_s)
        self.cycle(2)

    def _pause(self, ms):
        self.ms += ms
        self.cycle(2)

    def _trouble(self, observation, graph):
        self.core.on_observation_state(observation)
        self.core.on_graph((Verdict(Severity.FAULT, "graph_guard", "x"),) if graph else ())
        self.cycle()

    def _wait(self, count):
        self.speech = None
        self.cycle(count)


@pytest.mark.parametrize("name", ["robot", "mobile"])
def test_no_sequence_of_acts_breaks_a_law(name, request, make_judge):
    ran, robot = [], request.getfixturevalue(name)

    @settings(
        max_examples=max(1, CYCLES // MEAN_CYCLES // (2 if robot.rates.any() else 1)),
        deadline=None,
        database=None,
        derandomize="SMP_FUZZ_CYCLES" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )
    @given(EPISODES)
    def run(episodes):
        judge = make_judge(robot)
        world = World(robot, judge)
        for follow, acts in episodes:
            for act in (follow, *acts):
                world.act(*act)
        ran.append(judge.cycles)
        found = judge.finish()
        assert not found, found

    run()
    print(f"{sum(ran)} cycles in {len(ran)} sequences")
    assert sum(ran) >= 0.5 * CYCLES


# --- the judge itself must be able to fail


def cycle(mode, position=None, stamp_ns=10_000_000):
    command = None if position is None else Command(stamp_ns, position, position * 0, position * 0)
    return SimpleNamespace(mode=Mode(mode), command=command)


def smooth(robot, joint, amount, count):
    """Return setpoints (K, J) in which one joint goes so far, within its limits if that is slow enough."""
    rows = np.tile(robot.joint_array("home"), (count, 1))
    rows[:, joint] += amount * (1 - np.cos(np.linspace(0, np.pi, count))) / 2
    return rows


@pytest.mark.parametrize(
    ("breach", "text"),
    [
        ("none", ""),
        ("velocity", "velocity"),
        ("jerk", "jerk"),
        ("limit", "outside the position limits"),
        ("stamp", "another stamp"),
        ("unlatch", "from estop to teleop"),
        ("creep", "motion after a stop"),
        ("drift", "motion without a source"),
        ("start", "a start elsewhere"),
        ("silence", "nothing is published in teleop"),
        ("left at speed", "acceleration"),
    ],
)
def test_the_judge_finds_a_planted_breach(robot, judge, breach, text):
    home = np.array(robot.joint_array("home"))
    rows = smooth(robot, 0, 0.3, 12 if breach == "velocity" else 60)
    if breach == "jerk":
        rows[30] += 1e-3
    if breach == "limit":
        rows[:, 0] += np.linspace(0, 1, 60) ** 2 * 4
    if breach == "start":
        home = home + 1e-6
    judge.asked("arm", True, home, False)
    judge.asked("teleop", True, home, False)
    for k, row in enumerate(rows[: 30 if breach == "left at speed" else None]):
        judge.take(cycle("teleop", row, 11_000_000 if breach == "stamp" and k == 7 else 10_000_000), 0, row)
    if breach == "silence":
        judge.take(cycle("teleop"), 0, rows[-1])
    if breach == "left at speed":
        judge.asked("disarm", True, home, False)
        judge.take(cycle("disarmed"), 0, home)
    if breach == "drift":
        judge.asked("hold", True, home, False)
        for k in range(2 * judge.stop_cycles):
            judge.take(cycle("hold", rows[-1] + 1e-9 * k), 0, rows[-1])
    if breach in ("unlatch", "creep"):
        judge.pressed()
        for k in range(2 * judge.stop_cycles):
            row = rows[-1] + 1e-9 * k * (breach == "creep")
            judge.take(cycle("estop", row), 0, row)
    if breach == "unlatch":
        judge.take(cycle("teleop", rows[-1]), 0, rows[-1])
    found = judge.finish()
    assert bool(found) == (breach != "none")
    assert text in "".join(found)


@pytest.mark.parametrize("left", [False, True])
def test_the_judge_finds_a_base_that_drives_on(mobile, make_judge, left):
    judge, home = make_judge(mobile), np.array(mobile.joint_array("home"))
    judge.asked("arm", True, home, False)
    judge.asked("teleop", True, home, False)
    rows = smooth(mobile, mobile.joint_names.index("base_x"), 0.3, 200)
    for row in rows:
        judge.take(cycle("teleop", row), 0, row)
    if left:
        judge.asked("disarm", True, rows[-1], False)
        judge.take(cycle("disarmed"), 0, rows[-1])
    else:
        judge.pressed()
        for _ in range(2 * judge.stop_cycles):
            judge.take(cycle("estop", rows[-1]), 0, rows[-1])
    assert ("left driving" if left else "drives after a stop") in "".join(judge.finish())
