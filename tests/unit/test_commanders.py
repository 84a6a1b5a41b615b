"""Who commanded an episode, and what training draws of it."""

import numpy as np
import pytest

from smp_bringup.bag.commanders import COMMAND_STATE, DIAGNOSTICS, Commanders, Taught, said_mode
from smp_bringup.bag.messages import JOINT_STATE, deserialized, header, joint_state_cdr, typestore
from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.config import DenoiserConfig, EncoderConfig, PolicyConfig
from smp_bringup.record.config import QualityConfig
from smp_bringup.record.quality import judge
from smp_bringup.record.tracks import Tracks
from smp_bringup.safety.modes import Mode
from smp_bringup.sync.checks import Refusal
from smp_bringup.training.batches import Batches
from smp_bringup.training.dataset import Dataset
from smp_bringup.types import nanoseconds

STATE = PolicyConfig(
    "diffusion", track="state", horizon=4, denoiser=DenoiserConfig(16, 1), encoder=EncoderConfig(feature=16)
)
MS = 1_000_000
NOTHING, DEMONSTRATION, CORRECTION = Taught


def state_cdr(stamp_ns, mode):
    types = typestore().types
    pairs = [types["diagnostic_msgs/msg/KeyValue"](key="mode", value=mode)]
    status = types["diagnostic_msgs/msg/DiagnosticStatus"](0, "command", "", "", pairs)
    message = types[DIAGNOSTICS](header=header(stamp_ns, ""), status=[status])
    return bytes(typestore().serialize_cdr(message, DIAGNOSTICS))


def test_an_operator_is_who_teleoperated_from_the_word_of_the_command_node_to_the_next():
    said = [(30, Mode.TELEOP), (10, Mode.POLICY), (20, Mode.HOLD), (40, Mode.POLICY)]
    who = Commanders(said)
    at = np.array([5, 10, 19, 20, 29, 30, 39, 40, 99])
    assert who.operator(at).tolist() == [False] * 5 + [True] * 2 + [False] * 2
    assert who.taught(at).tolist() == [NOTHING] * 5 + [CORRECTION] * 2 + [NOTHING] * 2


@pytest.mark.parametrize("said", [[], [(10, Mode.HOLD), (20, Mode.TELEOP)]], ids=["imported", "recorded too early"])
def test_an_episode_in_which_no_policy_had_a_part_is_a_demonstration_from_end_to_end(said):
    assert Commanders(said).taught(np.array([0, 15, 25])).tolist() == [DEMONSTRATION] * 3


def test_what_is_no_state_of_a_command_node_says_nothing():
    assert said_mode(deserialized(state_cdr(7, "policy"), DIAGNOSTICS)) == (7, Mode.POLICY)
    for mode in ("dancing", ""):
        with pytest.raises(Refusal):
            said_mode(deserialized(state_cdr(7, mode), DIAGNOSTICS))


def data(taught, rng):
    count, dof = 40, 14
    return Dataset(
        0.04,
        {},
        nanoseconds(0.04) * np.arange(count),
        np.arange(count)[:, None] * np.ones(dof),
        rng.normal(size=(count, 5)).astype(np.float32),
        rng.normal(size=(count, 4, dof)),
        rng.normal(size=(count, 0, dof)),
        np.array([0, count // 2, count]),
        (),
        ("one",),
        taught=None if taught is None else np.array(taught, np.int8),
    )


def drawn(batches, rng):
    """Return which frames were drawn, each as often as it was: the state tells."""
    return batches.draw(4000, rng).inputs["state"][:, 0, 0].numpy()


def test_corrections_are_drawn_so_often_and_what_a_policy_did_never(rng):
    taught = [DEMONSTRATION] * 20 + [NOTHING] * 10 + [CORRECTION] * 10
    normalizer = Normalizer(np.zeros(14), np.ones(14))
    batches = Batches(data(taught, rng), normalizer, STATE, np.arange(2), corrections=3.0)
    frames = drawn(batches, rng)
    assert not ((frames >= 20) & (frames < 30)).any()
    per_frame = [
        ((frames >= first) & (frames < end)).mean() / pairs for first, end, pairs in ((0, 20, 19), (30, 40, 9))
    ]
    assert per_frame[1] / per_frame[0] == pytest.approx(3.0, rel=0.15)


@pytest.mark.parametrize("taught", [None, [DEMONSTRATION] * 40])
def test_without_corrections_batches_are_the_same_whatever_they_weigh(taught, rng):
    normalizer = Normalizer(np.zeros(14), np.ones(14))
    plain, weighted = (
        Batches(data(taught, np.random.default_rng(1)), normalizer, STATE, np.arange(2), corrections=weight)
        for weight in (1.0, 3.0)
    )
    one, other = (drawn(batches, np.random.default_rng(2)) for batches in (plain, weighted))
    np.testing.assert_array_equal(one, other)


def test_a_rollout_of_a_policy_is_not_rejected_for_leaders_that_nobody_held(robot):
    def missing(*modes):
        tracks = Tracks(robot)
        for number, mode in enumerate(modes):
            tracks.take(COMMAND_STATE, DIAGNOSTICS, number, state_cdr(number, mode))
        return [f.text for f in judge(tracks, QualityConfig()).findings if f.check == "missing" and "leader" in f.text]

    assert missing() == missing("hold", "teleop")
    assert len(missing()) == 2
    assert missing("hold", "policy") == []


def test_leaders_are_held_against_the_arms_while_they_are_followed_and_limits_after_the_take_over(robot):
    tracks, state = Tracks(robot), robot.arms[0]
    names = tuple(joint.name for joint in state.joints)
    modes = {0: "policy", 1000: "teleop", 3000: "policy"}
    for ms in range(0, 4000, 100):
        if ms in modes:
            tracks.take(COMMAND_STATE, DIAGNOSTICS, ms * MS, state_cdr(1 + ms * MS, modes[ms]))
        told = joint_state_cdr(1 + ms * MS, names, np.zeros(len(names)))
        tracks.take(state.state_topic, JOINT_STATE, ms * MS, told)
    track = tracks.states[state.name]
    assert len(track.values) == 40
    assert [log // MS for log in tracks.operated(track).log_ns] == list(range(1000, 3000, 100))
    assert [log // MS for log in tracks.operated(track, 1.0).log_ns] == list(range(2000, 3000, 100))
